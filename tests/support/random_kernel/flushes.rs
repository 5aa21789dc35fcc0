//! How the kernel flushes what it has changed.

use super::Machine;
use super::book::Changes;
use super::kernel::{Kernel, Left};
use super::op::How;
use super::pages::Half;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::{Frames, Held, Item};

/// What has to be flushed, and what that completes.
pub(super) struct Round {
    pub(super) flushes: Vec<Flush>,
    pub(super) changes: Changes,
}

impl<M: Machine> Kernel<M> {
    pub(crate) fn flush(&mut self, half: Half, how: How) {
        let round = self.pending(half, how);
        let Some((last, first)) = round.flushes.split_last() else {
            return;
        };
        for &flush in first {
            self.start_and(half, flush, &[], |_| ());
        }
        self.start_and(half, *last, &round.changes.items, |_| ());
        self.returned(half, &round.changes);
    }

    /// Two CPUs flush one page each at the same time.
    pub(super) fn flush_twice(&mut self, space: usize, pages: [u64; 2], by: [usize; 2]) {
        let half = Half::User(space);
        self.flush(half, How::Tight);
        pages.iter().for_each(|&page| self.unmap(half, page));
        let round = self.pending(half, How::Each);
        let mut frames = self.holding(&round.changes.items);
        self.rig.publish();
        let me = self.me();
        let (engine, space) = (self.rig.engine(), self.processes[space].space);
        let start = |(&flush, &cpu): (&Flush, &usize)| {
            self.rig.enter_kernel(cpu);
            self.rig.platform().set_current(cpu);
            engine.start(space, flush).unwrap()
        };
        let tickets: Vec<_> = round.flushes.iter().zip(&by).map(start).collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        self.rig.platform().set_current(me);
        frames.release();
        self.returned(half, &round.changes);
    }

    /// What has changed since the last flush and is in no batch. Upgrades are over with on return.
    pub(super) fn pending(&mut self, half: Half, how: How) -> Round {
        let book = self.book(half);
        let upgraded = core::mem::take(&mut book.upgraded);
        let changes = core::mem::take(&mut book.changed);
        for page in upgraded {
            self.flush_upgrade(half, page);
        }
        let flushes = self.flushes_of(half, &changes, how);
        Round { flushes, changes }
    }

    fn flushes_of(&self, half: Half, changes: &Changes, how: How) -> Vec<Flush> {
        let (layout, pages) = (self.layout, &changes.pages);
        let hull = |stride| layout.hull(half, pages, stride).map(Flush::pages);
        let Some(loose) = hull(layout.base) else {
            return Vec::new();
        };
        let common = layout.common_size(pages);
        let sized = common.and_then(|size| Some(hull(size)?.leaf_size(size)));
        let sized = sized.unwrap_or(loose);
        let deep = !changes.tables.is_empty();
        match how {
            How::All => vec![Flush::all()],
            How::Tight if deep => vec![sized],
            How::Tight => vec![sized.leaf_only()],
            How::Each if !deep => pages.iter().map(|&page| self.whole(half, page)).collect(),
            _ => vec![loose],
        }
    }

    pub(super) fn holding(&self, items: &[Item]) -> impl Held<1> + 'static {
        let mut frames = Frames::inline::<256>(self.sink);
        for item in items {
            self.sink.owes(item);
            frames.push(*item).unwrap();
        }
        frames
    }

    /// Starts a flush, does something else, and waits for it.
    pub(super) fn start_and(
        &mut self,
        half: Half,
        flush: Flush,
        items: &[Item],
        meanwhile: impl FnOnce(&Self),
    ) {
        if self.left == Left::Flushes {
            meanwhile(self);
            self.rig.publish();
            return self.holding(items).release();
        }
        self.take_counts();
        self.asks_for(half, &flush);
        let engine = self.rig.engine();
        let ticket = match half {
            Half::User(space) => engine.start(self.processes[space].space, flush),
            Half::Kernel => engine.start_kernel(flush),
        };
        let ticket = ticket.unwrap().holding(self.holding(items));
        meanwhile(self);
        let cost = self.in_time(|| ticket.wait().unwrap());
        self.compare(&cost);
        self.judge_over_flush(half, &flush, &cost);
        self.last_cost = cost;
    }

    pub(super) fn flush_upgrade(&self, half: Half, page: u64) {
        let Half::User(space) = half else { return };
        self.take_counts();
        let flush = self.whole(half, page);
        self.asks_for(half, &flush);
        let engine = self.rig.engine();
        let cost = self.in_time(|| engine.flush_upgrade(self.processes[space].space, flush));
        let cost = cost.unwrap();
        self.compare(&cost);
        self.judge_over_flush(half, &flush, &cost);
        self.page_returned(half, page);
    }

    /// Whatever comes is counted from here on.
    pub(super) fn take_counts(&self) {
        self.rig.take_interrupts();
        self.rig.model().take_counts();
        self.rig.model().take_over_flush();
    }

    /// The library's figures are the machine's.
    pub(super) fn compare(&self, cost: &Cost) {
        let counts = self.rig.model().take_counts();
        self.rig.compare(cost, &counts);
        self.devices.compare(cost, &counts);
    }

    /// The same for what was deferred. Its cost holds notices that were given, and counted by the machine, when changes were added.
    pub(super) fn compare_deferred(&self, cost: &Cost) {
        if !self.devices.are_told_at_once() {
            self.compare(cost);
        }
    }

    pub(super) fn returned(&self, half: Half, changes: &Changes) {
        let root = self.tables(half).root();
        changes.returned(self.rig.model(), root, &self.layout, half);
    }
}
