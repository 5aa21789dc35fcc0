//! The ATSD registers: 24 bytes of big-endian doublewords (Linux' `asm/pnv-ocxl.h`).

/// A write starts the invalidation.
pub(super) const LNCH: usize = 0x00;
pub(super) const AVA: usize = 0x08;
pub(super) const STAT: usize = 0x10;
/// The block.
pub(super) const LEN: usize = 0x18;
/// STAT, bit 0 of the manual: the invalidation is under way.
const PENDING: u64 = 1 << 63;

/// The registers' contents, as the manual numbers bits.
#[derive(Debug, Default)]
pub(super) struct Registers {
    pub(super) launch: u64,
    pub(super) ava: u64,
    /// An invalidation is under way.
    pub(super) pending: bool,
    /// It has been passed over once.
    pub(super) waited: bool,
}

impl Registers {
    pub(super) fn read(&self, at: usize) -> u64 {
        match at {
            LNCH => self.launch,
            AVA => self.ava,
            STAT if self.pending => PENDING,
            _ => 0,
        }
    }
}
