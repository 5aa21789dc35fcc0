//! The contract between the engine and TLBs that are not in a CPU: IOMMUs and the device TLBs behind them.

use crate::cost::Cost;
use crate::flush::Flush;
use bitflags::bitflags;
use core::fmt;
use core::task::Poll;

/// What an implementor calls one address space that it serves, chosen by the implementor at attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct AttachKey(pub u64);

/// One invalidation as a secondary TLB gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Invalidation {
    /// Translations of one attached address space changed.
    Space {
        /// Which space, in the implementor's terms.
        key: AttachKey,
        /// What changed in it.
        flush: Flush,
    },
    /// Page-table pages of the kernel half were freed: drop every cached table entry that could lead to them.
    KernelTables,
}

bitflags! {
    /// What a secondary TLB needs to be told, and on what it relies.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Needs: u32 {
        /// It must be told of permission upgrades: a cached entry with too few rights makes it fault for ever. A device
        /// that walks the tables anew before it reports a fault may leave this out.
        const UPGRADES = 1 << 0;
        /// It caches tables of the kernel half, so freed kernel tables concern it.
        const KERNEL_TABLES = 1 << 1;
        /// Its IOMMU TLB is invalidated by the CPUs' broadcasts (Arm BTM). CPU flushes must then be broadcast, and only
        /// the device TLBs are told by command, after the CPU's completion barrier.
        const SNOOPS_BROADCASTS = 1 << 2;
        /// The rights of an entry that it may have cached must not be widened in place (the nest MMU of a POWER9 hangs): the entry
        /// is made invalid and flushed before it is stored with its new rights. `Shootdown::upgrade` does that.
        const BREAKS_UPGRADES = 1 << 3;
        /// It is told of a change when that is put into a batch ([`batch`](crate::batch)), and waited for there, because it cannot be
        /// left with what it holds until the batch is flushed.
        const AT_ADD = 1 << 4;
    }
}

/// The submission has no room now. Nothing was queued; completions already under way will make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full;

/// Why a secondary TLB cannot vouch for an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SecondaryError {
    /// A device did not answer its device-TLB invalidation. It is named by the number its IOMMU knows it by (Arm stream id,
    /// PCI requester id); its attachments are quarantined. Everything else that the fence covers is complete.
    DeviceTimeout {
        /// The device.
        device: u32,
    },
    /// The queue has stopped and could not be restarted.
    QueueStopped,
    /// The IOMMU is in a failure mode that software cannot leave.
    Failed,
}

impl fmt::Display for SecondaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceTimeout { device } => {
                write!(f, "device {device:#x} did not answer its invalidation")
            }
            Self::QueueStopped => f.write_str("the invalidation queue has stopped"),
            Self::Failed => f.write_str("the IOMMU has failed"),
        }
    }
}

impl core::error::Error for SecondaryError {}

/// A point in an implementor's submissions, waited for by polling. Plain data: it may move between CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fence {
    /// The submission, in the implementor's terms: never reused, compared as a sequence.
    pub sequence: u64,
    /// The stage that is being waited for, in the implementor's terms, 0 at first.
    pub stage: u32,
    /// Further state of that stage, in the implementor's terms.
    pub detail: u64,
}

impl Fence {
    /// A fence of this sequence in its first stage.
    pub const fn new(sequence: u64) -> Self {
        Self {
            sequence,
            stage: 0,
            detail: 0,
        }
    }
}

/// A TLB outside the CPUs that caches entries of a process's page table: one IOMMU with its queue and the devices behind it.
///
/// The engine calls [`queue`](Self::queue) one or more times, then [`seal`](Self::seal) once, then
/// [`poll`](Self::poll) until the fence is ready. Calls of several CPUs interleave freely, so that one CPU's `seal` may close
/// what another has queued. After [`Full`] it calls `seal` with nothing queued and polls that fence once, on behalf of whoever
/// filled the queue and gave up: `seal` then submits nothing, and gives the fence of what was sealed last.
///
/// # Implementation safety
/// Memory is freed on this trait's word, so implementors promise:
/// * When `poll` returns `Ready(Ok(()))`, every invalidation queued by this CPU before the `seal` that gave the fence has
///   completed: neither the IOMMU nor any device behind it uses, or has an access under way through, a translation older than
///   the page-table stores that preceded `queue`. A device TLB is invalidated strictly after its IOMMU's TLB.
/// * An error in one submission is never swallowed nor charged to another: an error that the implementor cannot attribute
///   makes every fence since the last proven point unproven.
/// * After `release` has completed for a key, no device walks that address space, even though no flush follows.
/// * No method sleeps, allocates, logs, or calls back into the engine; each is bounded, and none waits for hardware.
///
/// # Context
/// Any method may be called with interrupts off and page-table locks held, from several CPUs at once, never from an NMI.
pub unsafe trait SecondaryTlb: Sync {
    /// Queues one invalidation, without waiting and without ringing.
    ///
    /// # Errors
    /// [`Full`] where there is no room; nothing was queued then. The engine polls what is under way, and tries again.
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full>;

    /// Closes what was queued with the waits it needs, and rings the doorbell once. Room for it was set aside by `queue`.
    fn seal(&self, cost: &mut Cost) -> Fence;

    /// Looks whether the fence has been reached; may submit the fence's next stage.
    ///
    /// After an error the fence may be polled again: a device that was detached meanwhile counts as done.
    ///
    /// # Errors
    /// [`SecondaryError`], naming the device where one device is at fault.
    fn poll(&self, fence: &mut Fence, cost: &mut Cost) -> Poll<Result<(), SecondaryError>>;

    /// Stops every walk of this address space and queues the full invalidation that must follow. Idempotent; may race with
    /// flushes and with a second `release`. Followed by `seal` and `poll` like `queue`.
    ///
    /// # Errors
    /// [`Full`] as for `queue`, and for as long as a device that has to agree has not let go; the walk is stopped at the latest when a
    /// later call succeeds.
    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full>;

    /// What this implementor needs to be told. Constant from the first attach on.
    fn needs(&self) -> Needs;
}
