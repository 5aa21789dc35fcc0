//! The registers of an interrupted context.

/// What `vectors.s` saves.
#[repr(C)]
pub(crate) struct Frame {
    /// x0 to x18, then x30.
    pub(crate) registers: [u64; 20],
    /// Where the exception returns to.
    pub(crate) elr: u64,
    spsr: u64,
}
