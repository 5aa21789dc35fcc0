//! What firmware and the devices do for a link, in the kernel's hands.

use super::config::Context;
use super::ids::Pid;
use core::fmt;
use core::task::Poll;

/// A device or the firmware says that it could not do what it was asked. It is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostError;

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device or the firmware could not do it")
    }
}

impl core::error::Error for HostError {}

/// What a link asks of the kernel: it reaches neither the configuration space of its devices nor the firmware itself.
///
/// # Implementation safety
/// Memory is freed and a process element emptied on this trait's word, and a device that finds its element empty is a checkstop of the
/// machine. Implementors promise:
/// * [`termination`](Self::termination) gives `Ready(Ok(()))` when the device has no access under way for the context and makes no
///   more, and not before. After a reset of the link that is so for all contexts.
/// * [`clear_pe_cache`](Self::clear_pe_cache) gives `Ready(Ok(()))` when the link uses no process element that it read before the call.
/// * When [`flush_process`](Self::flush_process) returns, no CPU and no nest MMU that snoops has anything of the process cached.
/// * No method sleeps, allocates or calls the link or the engine.
///
/// # Context
/// Called without the link's lock, with interrupts on or off and page-table locks held, from several CPUs at once, for one context
/// from one at a time.
pub unsafe trait Host: Sync {
    /// Asks the device to end its accesses for a context (AFU control DVSEC: the PASID, and the bit that starts the termination).
    ///
    /// `Pending` where it has another termination under way: one accelerator has one at a time. Nothing was asked then.
    fn terminate_pasid(&self, context: &Context) -> Poll<Result<(), HostError>>;

    /// Looks whether the termination that was asked for is complete. Of an accelerator that is busy with another context's by
    /// now, it is.
    fn termination(&self, context: &Context) -> Poll<Result<(), HostError>>;

    /// Drops what the link has cached of a context's process element (`opal_npu_spa_clear_cache`). `Pending` where it is to be called
    /// again, as for `OPAL_BUSY`.
    fn clear_pe_cache(&self, context: &Context) -> Poll<Result<(), HostError>>;

    /// Drops everything of a process on every CPU and nest MMU: `tlbie` with RIC = 2 and IS = 1, broadcast, with the barriers around
    /// it. Asked for by a link that snoops, and by no other.
    fn flush_process(&self, pid: Pid);
}
