//! The oracle: what is a stale entry, whether it is excused, and what must never have happened.

mod change;
mod counts;
mod live;
mod over_flush;
mod truth;
mod violation;

pub(crate) use change::{Effect, Span};
pub use counts::Counts;
pub(crate) use live::breaks;
pub use over_flush::OverFlush;
pub(crate) use truth::{Status, status};
pub use violation::{Holder, Violation};

use crate::memory::Memory;
use crate::tlb::{Entry, Says};
use alloc::vec::Vec;
use change::{Loses, Pending};

/// Keeps the books.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pending: Pending,
    violations: Vec<Violation>,
    over_flush: over_flush::Account,
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

    /// Whoever flushes asks for this range, and whatever is dropped there is no over-flush.
    pub(crate) fn asks_for(&mut self, span: Span) {
        self.over_flush.ask_for(span);
    }

    /// An invalidation that software asked for drops this entry.
    pub(crate) fn dropped(&mut self, holder: Holder, entry: &Entry) {
        self.over_flush.dropped(holder, entry, &self.pending);
    }

    pub(crate) fn take_over_flush(&mut self) -> OverFlush {
        self.over_flush.take()
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
