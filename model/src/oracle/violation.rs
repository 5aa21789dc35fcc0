//! What must not happen.

use core::fmt;

/// Who held or used an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A CPU, by number.
    Cpu(usize),
    /// The TLB of an IOMMU itself, or of a link's nest MMU, by number.
    Iommu(usize),
    /// The device TLB of this stream or requester.
    Device(u32),
}

/// Something that must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An entry that no longer says what the table says was used, though nobody still waits for its invalidation.
    UsedStale {
        /// By whom.
        holder: Holder,
        /// The address translated.
        va: u64,
    },
    /// Such an entry is still held.
    HeldStale {
        /// By whom.
        holder: Holder,
        /// The base of what it translates.
        va: u64,
    },
    /// A frame was read or written after it had been freed, or after it had got another owner.
    UsedFreed {
        /// By whom.
        holder: Holder,
        /// The address of the frame.
        pa: u64,
    },
    /// A walk went through a table that had been freed, or had got another owner.
    WalkedFreed {
        /// By whom.
        holder: Holder,
        /// The address of the table.
        pa: u64,
    },
    /// A frame was freed while somebody held an entry that leads to it.
    FreedWhileHeld {
        /// By whom.
        holder: Holder,
        /// The address of the frame.
        pa: u64,
    },
    /// A frame was freed that was free already.
    FreedTwice {
        /// The address of the frame.
        pa: u64,
    },
    /// An instruction that the CPU does not have, or an operand with reserved bits set.
    Undefined {
        /// The CPU.
        cpu: usize,
    },
    /// A task left a CPU on which it had issued invalidations that are not complete.
    MigratedIncomplete {
        /// The CPU that was left.
        cpu: usize,
    },
    /// An invalidation was issued by a task that could have been moved to another CPU.
    NotPinned {
        /// The CPU.
        cpu: usize,
    },
    /// A base or a head register of a queue was written while the queue was running, or a link's register while an invalidation was.
    WrittenWhileRunning {
        /// The IOMMU.
        iommu: usize,
        /// The offset of the register.
        register: usize,
    },
    /// An entry of another address space was used, which has the same identifier.
    UsedForeign {
        /// By whom.
        holder: Holder,
        /// The address translated.
        va: u64,
    },
    /// An invalidation named no ASID, so that it drops what guests have cached as well.
    ReachedGuests {
        /// The CPU.
        cpu: usize,
    },
    /// The kernel widened the rights of an entry in place that a nest MMU holds which never sees it: devices fault for ever.
    WidenedInPlace {
        /// The link.
        iommu: usize,
        /// The base of what the entry translates.
        va: u64,
    },
    /// A device used a PASID whose process element is not there: the machine stops.
    Checkstop {
        /// The link.
        iommu: usize,
    },
    /// A process element that was used is valid and makes no sense, as if it had been written half.
    IllegalElement {
        /// The link.
        iommu: usize,
        /// Its PASID.
        pasid: u32,
    },
    /// An invalidation was launched that has no meaning.
    IllegalLaunch {
        /// The link.
        iommu: usize,
        /// What was launched.
        word: u64,
    },
    /// The kernel made an entry valid where one had been taken out, or had led elsewhere, before the flush of that had returned.
    InstalledWhilePending {
        /// The first address in common.
        va: u64,
    },
    /// The kernel relied on a range in which a change had not been flushed: see [`Model::relies_on`](crate::Model::relies_on).
    ReliedWhilePending {
        /// The first address of that change in the range.
        va: u64,
    },
    /// A queue's producer index moved beyond its consumer index: entries were overwritten.
    QueueOverrun {
        /// The IOMMU.
        iommu: usize,
    },
    /// A live entry was replaced in one store by one that leads elsewhere or has another size, where the CPUs ask for an invalid entry and a
    /// flush in between.
    BreakSkipped {
        /// The base of what the entry translates.
        va: u64,
    },
    /// Entries of two sizes for one address are held at once, so that hardware may use either, mix them, or abort.
    SizesConflict {
        /// By whom.
        holder: Holder,
        /// The address that was walked for.
        va: u64,
    },
    /// An identifier was handed out while somebody held entries of another address space under it.
    ReusedDirty {
        /// By whom.
        holder: Holder,
        /// The ASID, PCID, PID or PASID.
        id: u32,
    },
    /// No flush was open any more, and an invalidation was still under way, or had gone without having been done: see
    /// [`Model::settled`](crate::Model::settled).
    LostRequest {
        /// Who has not done it, or has issued it and not seen to its completion.
        holder: Holder,
        /// The first address that was settled.
        va: u64,
    },
    /// A wait did not end within its bound: see [`ModelPlatform::bounded`](crate::platform::ModelPlatform::bounded).
    WaitedTooLong {
        /// Where.
        cpu: usize,
        /// The turns of the waiting loop that it took.
        turns: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedStale { holder, va } => write!(f, "{holder:?} used a stale entry of {va:#x}"),
            Self::HeldStale { holder, va } => {
                write!(f, "{holder:?} still holds a stale entry of {va:#x}")
            }
            Self::UsedFreed { holder, pa } => write!(f, "{holder:?} used the freed frame {pa:#x}"),
            Self::WalkedFreed { holder, pa } => {
                write!(f, "{holder:?} walked the freed table {pa:#x}")
            }
            Self::FreedWhileHeld { holder, pa } => {
                write!(
                    f,
                    "{holder:?} could use the frame {pa:#x} when it was freed"
                )
            }
            Self::FreedTwice { pa } => write!(f, "frame {pa:#x} was freed twice"),
            Self::Undefined { cpu } => write!(f, "CPU {cpu} met an undefined instruction"),
            Self::MigratedIncomplete { cpu } => {
                write!(
                    f,
                    "a task left CPU {cpu} before its invalidations were complete"
                )
            }
            Self::NotPinned { cpu } => write!(f, "CPU {cpu} invalidated for a task not pinned"),
            Self::WrittenWhileRunning { iommu, register } => write!(
                f,
                "register {register:#x} of IOMMU {iommu} was written while its queue was running"
            ),
            Self::UsedForeign { holder, va } => {
                write!(f, "{holder:?} used another space's entry of {va:#x}")
            }
            Self::ReachedGuests { cpu } => write!(f, "CPU {cpu} dropped entries of guests"),
            Self::WidenedInPlace { iommu, va } => write!(
                f,
                "an entry of {va:#x} that link {iommu} holds was widened in place"
            ),
            Self::Checkstop { iommu } => write!(f, "link {iommu} found no process element"),
            Self::IllegalElement { iommu, pasid } => {
                write!(f, "link {iommu} found a malformed element of PASID {pasid}")
            }
            Self::IllegalLaunch { iommu, word } => {
                write!(f, "link {iommu} was to launch {word:#x}")
            }
            Self::InstalledWhilePending { va } => {
                write!(
                    f,
                    "an entry of {va:#x} was installed where a removal was pending"
                )
            }
            Self::ReliedWhilePending { va } => {
                write!(
                    f,
                    "the kernel relied on a flush of {va:#x} that was pending"
                )
            }
            Self::QueueOverrun { iommu } => write!(f, "the queue of IOMMU {iommu} was overrun"),
            Self::BreakSkipped { va } => {
                write!(f, "an entry of {va:#x} was changed while it was live")
            }
            Self::SizesConflict { holder, va } => {
                write!(f, "{holder:?} holds entries of two sizes for {va:#x}")
            }
            Self::ReusedDirty { holder, id } => {
                write!(f, "{holder:?} holds entries of the last owner of {id:#x}")
            }
            Self::LostRequest { holder, va } => {
                write!(
                    f,
                    "{holder:?} has not done what a flush of {va:#x} asked for"
                )
            }
            Self::WaitedTooLong { cpu, turns } => {
                write!(f, "CPU {cpu} waited for {turns} turns")
            }
        }
    }
}
