//! The registers of an interrupted context.

/// What `vectors.s` saves.
#[repr(C)]
pub(crate) struct Frame {
    /// r0 to r12, with room for r1.
    pub(crate) registers: [u64; 13],
    lr_ctr_xer_cr: [u64; 4],
    /// Where the interrupt returns to.
    pub(crate) pc: u64,
    /// The machine state there.
    pub(crate) msr: u64,
    pub(crate) vector: u64,
}
