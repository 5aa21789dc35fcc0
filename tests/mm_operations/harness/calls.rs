//! The library's calls, each of which is left out where the control says so. On return the kernel relies on it.

use super::kernel::{Kernel, Left, P};
use super::machine::{Engine, Machine};
use super::page::{Page, span};
use tlb_shootdown::address::{PageRange, PageSize};
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::change::{Call, Decision, Needed, PutOff, Reason, ReplaceStep};
use tlb_shootdown::secondary::Needs;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown_model::memory::descriptor::Rights;

impl<M: Machine> Kernel<M> {
    /// What this machine decides for a change of this name. `put_off` is what §9 allows.
    pub(crate) fn decide(&self, reason: Reason, put_off: PutOff) -> Decision {
        let decision = self.engine.arch().decide(reason);
        assert_eq!(decision.put_off(), put_off, "{reason:?}");
        decision
    }

    /// The lock is dropped, or the fault returns. Stores are on their way no more, whoever has forgotten what else; the library's own
    /// barrier has come before, and the test's takes nothing off it.
    fn unlock(&mut self) {
        if !self.calls() {
            self.publish();
        }
    }

    pub(super) fn owes_a_flush(&mut self) {
        self.owes = self.owes.max(Needed::Change);
    }

    /// Makes a call that completes what the owners' changes ask for.
    pub(super) fn complete<R>(
        &mut self,
        owners: &[usize],
        covers: Needed,
        call: impl FnOnce(&'static Engine<M>) -> R,
    ) -> Option<R> {
        assert!(self.owes <= covers, "by value it is {:?}", self.owes);
        let result = self.calls().then(|| call(self.engine));
        self.unlock();
        self.owes = Needed::Nothing;
        for &owner in owners {
            self.settle(owner);
        }
        result
    }

    pub(crate) fn flush(
        &mut self,
        owner: usize,
        decision: &Decision,
        pages: PageRange,
        size: Option<PageSize>,
    ) {
        assert_eq!(decision.call(), Call::Flush);
        let (space, flush) = (self.space(owner), decision.flush(pages, size));
        self.complete(&[owner], Needed::Change, |engine| {
            engine.flush(space, flush).unwrap()
        });
    }

    /// At the end of an operation that has changed pages all over the space.
    pub(crate) fn flush_space(&mut self, owner: usize) {
        let space = self.space(owner);
        self.complete(&[owner], Needed::Change, |engine| {
            engine.flush_space(space).unwrap()
        });
    }

    /// Replaces entries that must never be live beside those that follow. In between nobody holds the old ones, and nobody uses them.
    pub(crate) fn replace(
        &mut self,
        decision: &Decision,
        pages: PageRange,
        size: Option<PageSize>,
        mut invalidate: impl FnMut(&mut Self),
        mut store: impl FnMut(&mut Self),
    ) {
        assert_eq!(decision.call(), Call::Flush);
        assert!(decision.needs_invalid_between());
        let (engine, calls) = (self.engine, self.calls());
        let (space, flush) = (self.space(P), decision.flush(pages, size));
        let mut step = |step| match step {
            ReplaceStep::Invalidate => {
                invalidate(self);
                assert!(self.owes <= Needed::Change);
            }
            ReplaceStep::Store => {
                self.owes = Needed::Nothing;
                self.settle(P);
                self.cpu_reads(self.other_cpu(P), pages.first().raw(), None);
                self.device_reads(P, pages.first().raw(), None);
                store(self);
            }
        };
        if calls {
            engine.replace(space, flush, step).unwrap();
        } else {
            step(ReplaceStep::Invalidate);
            step(ReplaceStep::Store);
        }
        self.settle(P);
    }

    /// Gives the right to write to pages side by side.
    pub(crate) fn upgrade(&mut self, decision: &Decision, pages: &[Page]) {
        assert_eq!(decision.call(), Call::Upgrade);
        let (engine, calls) = (self.engine, self.calls());
        let flush = decision.flush(span(pages), Some(pages[0].size));
        let space = self.space(P);
        let mut is_invalid = false;
        let mut step = |step| match step {
            UpgradeStep::Invalidate => {
                is_invalid = true;
                pages.iter().for_each(|page| self.unmap(P, page));
            }
            UpgradeStep::Widen if is_invalid => {
                self.owes = Needed::Nothing;
                self.settle(P);
                self.map_all(P, pages, Rights::ReadWrite);
            }
            UpgradeStep::Widen => {
                let write = Rights::ReadWrite;
                pages.iter().for_each(|page| self.protect(P, page, write));
            }
        };
        if calls {
            engine.upgrade(space, flush, step).unwrap();
        } else {
            step(UpgradeStep::Widen);
        }
        self.unlock();
        assert!(self.owes <= Needed::Upgrade);
        self.owes = Needed::Nothing;
        self.settle(P);
    }

    /// The same where it is not what the control leaves out.
    pub(crate) fn upgrade_for_real(&mut self, decision: &Decision, pages: &[Page]) {
        let left = self.run.left;
        if left == Left::Call {
            self.run.left = Left::Nothing;
        }
        self.upgrade(decision, pages);
        self.run.left = left;
    }

    /// CPUs find out about upgrades by a fault each.
    pub(crate) fn repairs_spurious_faults(&self) {
        self.engine.platform().set_repairs_spurious_faults(true);
    }

    /// Whether every CPU is flushed with an upgrade, as the device wants it.
    pub(crate) fn upgrades_reach_cpus(&self) -> bool {
        let wants = Needs::BREAKS_UPGRADES | Needs::SNOOPS_BROADCASTS;
        let needs = self.iommu.as_ref().map(|iommu| iommu.tlb().needs());
        self.run.left != Left::Notice && needs.is_some_and(|needs| needs.intersects(wants))
    }

    /// The fault handler of a CPU finds the entry in memory right.
    pub(crate) fn fix_spurious_fault(&mut self, cpu: usize, page: &Page) {
        let space = self.space(P);
        self.complete(&[P], Needed::Nothing, |engine| {
            let platform = engine.platform();
            platform.set_current(cpu);
            let fixed = engine.fix_spurious_fault(space, page.addr(), page.size);
            platform.set_current(0);
            fixed.unwrap()
        });
    }

    /// Waits for those who walk tables without a lock.
    pub(crate) fn sync_lockless_walkers(&mut self) {
        self.complete(&[], Needed::Nothing, |engine| {
            engine.sync_lockless_walkers().unwrap()
        });
    }
}
