//! The registers of an interrupted context.

/// What `vectors.s` and the CPU save.
#[repr(C)]
pub(crate) struct Frame {
    /// r11 to r8, rdi, rsi.
    others: [u64; 6],
    pub(crate) rdx: u64,
    rcx_rax: [u64; 2],
    pub(crate) vector: u64,
    pub(crate) error: u64,
    /// Where the exception returns to.
    pub(crate) rip: u64,
    cs_rflags_rsp_ss: [u64; 4],
}
