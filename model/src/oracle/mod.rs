//! The oracle: what is a stale entry, whether it is excused, and what must never have happened.

mod change;
mod counts;
mod truth;

pub(crate) use change::{Effect, Span};
pub use counts::Counts;
pub(crate) use truth::{Status, status};

use crate::memory::Memory;
use crate::tlb::{Entry, Says};
use alloc::vec::Vec;
use change::{Loses, Pending};
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
        }
    }
}

/// Keeps the books.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pending: Pending,
    violations: Vec<Violation>,
    lazy_upgrades: bool,
    pub(crate) counts: Counts,
}

impl Oracle {
    /// CPUs may keep entries with fewer rights than the table gives.
    pub(crate) fn permit_lazy_upgrades(&mut self, permitted: bool) {
        self.lazy_upgrades = permitted;
    }

    /// A store to the table has this effect here, and nobody has been told that it is complete.
    ///
    /// Until a removal is flushed nobody knows who uses what was removed, so nothing new may lead there: with both in use at once,
    /// writes go to two places (Arm ARM D8.16.1, break-before-make; Linux' `flush_tlb_batched_pending`). The frame that was there
    /// is no exception: it may be held with other rights. Rights that change in place are no installation, and neither is the second
    /// store of a break-before-make, which comes after the flush has returned.
    pub(crate) fn changed(&mut self, span: Span, effect: Effect) {
        if effect.installs
            && let Some(va) = self.pending.find(&span, Loses::Everything)
        {
            self.report(Violation::InstalledWhilePending { va });
        }
        if let Some(loses) = effect.loses {
            self.pending.add(span, loses);
        }
    }

    /// A flush of this range has returned: from now on nothing in it is excused.
    pub(crate) fn returned(&mut self, span: Span) {
        self.pending.returned(&span);
    }

    /// The kernel relies on nobody having more in this range than the table gives.
    pub(crate) fn relies_on(&mut self, span: Span) {
        if let Some(va) = self.pending.find(&span, Loses::Rights) {
            self.report(Violation::ReliedWhilePending { va });
        }
    }

    pub(crate) fn report(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    pub(crate) fn take_violations(&mut self) -> Vec<Violation> {
        core::mem::take(&mut self.violations)
    }

    /// Whether an entry is outside what is allowed at this moment.
    pub(crate) fn forbids(&self, holder: Holder, entry: &Entry, memory: &Memory) -> bool {
        let wrong = match status(entry, memory) {
            Status::Current => false,
            Status::Weaker => !(self.lazy_upgrades && matches!(holder, Holder::Cpu(_))),
            Status::Stale => true,
        };
        wrong && !self.pending.excuses(entry)
    }

    /// Judges the use of a cached entry for an access to `va`.
    pub(crate) fn used(&mut self, holder: Holder, entry: &Entry, va: u64, memory: &Memory) {
        if self.forbids(holder, entry, memory) {
            self.report(Violation::UsedStale { holder, va });
        }
        let pa = entry.leads_to();
        let owner = memory.frames.owner(pa);
        if owner.is_none() || owner != entry.owner {
            self.report(match entry.says {
                Says::Table(_) => Violation::WalkedFreed { holder, pa },
                Says::Leaf(_) => Violation::UsedFreed { holder, pa },
            });
        }
    }
}
