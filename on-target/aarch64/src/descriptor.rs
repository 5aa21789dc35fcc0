//! Stage-1 descriptors of the 4 KiB granule (Arm ARM, D8.3).

/// Entries of one table.
pub(crate) const ENTRIES: usize = 512;

/// One table: 512 descriptors in one page.
#[derive(Clone)]
#[repr(C, align(4096))]
pub(crate) struct Table(pub(crate) [u64; ENTRIES]);

impl Table {
    pub(crate) const EMPTY: Self = Self([0; ENTRIES]);
}

/// Bits 1:0 of a table descriptor (levels 0 to 2) and of a page descriptor (level 3).
const VALID: u64 = 0b11;
/// AttrIndx = 0: device memory, as `boot.s` sets MAIR_EL1.
const DEVICE: u64 = 0 << 2;
/// AttrIndx = 1: normal memory, write-back.
const NORMAL: u64 = 1 << 2;
/// AP\[1\]: unprivileged accesses as well.
const USER: u64 = 1 << 6;
/// AP\[2\]: no writes.
const READ_ONLY: u64 = 1 << 7;
/// SH = 0b11: inner shareable.
const INNER: u64 = 0b11 << 8;
/// Access flag: without it every first access would fault.
const ACCESSED: u64 = 1 << 10;
/// nG: of one ASID alone.
const NOT_GLOBAL: u64 = 1 << 11;
/// PXN and UXN.
const NO_EXECUTE: u64 = 0b11 << 53;
/// UXN alone.
const NO_USER_EXECUTE: u64 = 1 << 54;

/// A descriptor that leads to the next table.
pub(crate) const fn table(phys: u64) -> u64 {
    phys | VALID
}

/// A page of the kernel image: code and data alike, so that the image needs no alignment between them.
pub(crate) const fn kernel_page(phys: u64) -> u64 {
    phys | VALID | NORMAL | INNER | ACCESSED | NO_USER_EXECUTE
}

/// A page of kernel data under test.
pub(crate) const fn kernel_data_page(phys: u64) -> u64 {
    phys | VALID | NORMAL | INNER | ACCESSED | NO_EXECUTE
}

/// A page of device registers.
pub(crate) const fn device_page(phys: u64) -> u64 {
    phys | VALID | DEVICE | ACCESSED | NO_EXECUTE
}

/// A page of a process, for user-mode accesses and devices.
pub(crate) const fn user_page(phys: u64, writable: bool) -> u64 {
    let right = if writable { 0 } else { READ_ONLY };
    phys | VALID | NORMAL | USER | right | INNER | ACCESSED | NOT_GLOBAL | NO_EXECUTE
}

/// A block of 2 MiB of a process, writable: bit 1 is clear.
pub(crate) const fn user_block(phys: u64) -> u64 {
    user_page(phys, true) & !0b10
}

/// Index of `address` in a table of `level` (0 to 3).
pub(crate) const fn index(address: u64, level: u32) -> usize {
    (address >> (39 - 9 * level)) as usize % ENTRIES
}
