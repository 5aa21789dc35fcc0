//! What a flush may take along, and how long it may wait.

use super::Machine;
use super::kernel::Kernel;
use super::pages::Half;
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;

/// Turns of waiting loops in which everybody answers here, however late.
const TURNS: u64 = 20_000;

/// How many pages a flush may take along beside those that were asked for, where its cost counts no escalation (promise 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    None,
    /// One page.
    OnePage,
    /// As many as were asked for: blocks of powers of two, at most four of them.
    AsMuch,
    /// Whatever: it is done by someone whose own bound is another (a CPU that catches up by generations; a device whose unit is larger).
    Any,
}

impl Surplus {
    fn allows(self, surplus: u32, asked: u64) -> bool {
        match self {
            Self::None => surplus == 0,
            Self::OnePage => surplus <= 1,
            Self::AsMuch => u64::from(surplus) <= asked,
            Self::Any => true,
        }
    }
}

impl<M: Machine> Kernel<M> {
    pub(super) fn asks_for(&self, half: Half, flush: &Flush) {
        let root = self.tables(half).root();
        let (first, last) = match flush.range() {
            FlushRange::All => (0, u64::MAX),
            FlushRange::Pages(pages) => (pages.first().raw(), pages.last_byte().raw()),
        };
        self.rig.model().asks_for(root, first, last);
    }

    /// Everything of the kernel's half is everything there is, for want of a smaller form.
    pub(super) fn judge_over_flush(&self, half: Half, flush: &Flush, cost: &Cost) {
        let over = self.rig.model().take_over_flush();
        let is_everything = half == Half::Kernel && matches!(flush.range(), FlushRange::All);
        if cost.escalations > 0 || is_everything {
            return;
        }
        let asked = match flush.range() {
            FlushRange::All => u64::MAX,
            FlushRange::Pages(pages) => pages.count() * pages.stride().bytes() / 0x1000,
        };
        let cpus = self.rig.surplus(cost);
        let (iommus, devices) = self.devices.surplus();
        let all = [
            (cpus, over.cpus),
            (iommus, over.iommus),
            (devices, over.devices),
            (self.rig.surplus_elsewhere(flush, cost), over.elsewhere),
        ];
        let is_bounded = all.iter().all(|(bound, pages)| bound.allows(*pages, asked));
        assert!(is_bounded, "{over:?} beside {flush:?}, of {all:?}");
    }

    /// Does something that waits for others.
    pub(super) fn in_time<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.rig.platform().bounded(TURNS, wait)
    }
}
