//! What a guest without the right to `tlbie` asks of its hypervisor.

use core::fmt;

/// One H_RPT_INVALIDATE (opcode 0x448; PAPR, "H_RPT_INVALIDATE"): its arguments in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RptInvalidate {
    /// The process.
    pub pid: u64,
    /// Whose caches: bit 0 all threads' (CMMU), bit 1 this thread's, bit 2 nest MMUs' (NMMU).
    pub target: u64,
    /// Which caches: bit 1 translations, bit 2 page walks, bit 3 process-table entries.
    pub kind: u64,
    /// Which page sizes: bit 0 4 KiB, bit 1 64 KiB, bit 2 2 MiB, bit 3 1 GiB; all ones for all.
    pub page_sizes: u64,
    /// The first address.
    pub start: u64,
    /// The first address beyond; all ones for the end of the address space.
    pub end: u64,
}

/// What H_RPT_INVALIDATE answered in place of H_SUCCESS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HypervisorError {
    /// H_BUSY, or one of the long-busy codes: nothing was done, ask again.
    Busy,
    /// Any other status: this form is refused.
    Refused(i64),
}

impl fmt::Display for HypervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the hypervisor is busy"),
            Self::Refused(status) => write!(f, "the hypervisor refused with status {status}"),
        }
    }
}

impl core::error::Error for HypervisorError {}

/// The hypervisor call that the kernel supplies.
///
/// # Implementation safety
/// Memory is freed on its word: after `Ok` every entry that the arguments name is gone from every CPU of the partition (from nest
/// MMUs, where they are named), and no access through it is under way.
///
/// # Context
/// Called with interrupts on or off and locks held, on several CPUs at once: implementations neither sleep nor log.
pub unsafe trait Hypervisor: Sync {
    /// H_RPT_INVALIDATE.
    ///
    /// # Errors
    /// [`HypervisorError`], where the status was not H_SUCCESS.
    fn rpt_invalidate(&self, call: &RptInvalidate) -> Result<(), HypervisorError>;
}
