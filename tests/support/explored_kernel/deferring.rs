//! The batch, and its flush.

use super::kernel::{Batch, Kernel, PAGES};
use super::pages::{Change, Stage};
use crate::random_kernel::{Machine, lend};
use core::task::Poll;

impl<M: Machine> Kernel<M> {
    /// Upgrades are told at once, and while the batch is being flushed nothing is added to it.
    pub(super) fn can_defer(&self, page: usize) -> bool {
        let change = self.pages[page].change();
        let may = change.is_some_and(|change| change != Change::Widened);
        may && self.batch_flush.is_none()
    }

    pub(super) fn defer(&mut self, page: usize) {
        let (space, flush) = (self.process.space, self.flush_of(page));
        let (engine, held) = (self.rig.engine(), self.holding());
        let batch = self.batch.take();
        let batch = batch.unwrap_or_else(|| lend(Batch::holding(engine, held)));
        self.as_cpu(self.by[page], |_| batch.add(space, flush))
            .unwrap();
        if let Some(Change::Unmapped { frame }) = self.pages[page].change() {
            self.hold(batch.held(), self.frame(page, frame));
        }
        self.batch = Some(batch);
        self.pages[page].stage = Stage::Deferred;
        self.hand_over(self.by[page]);
    }

    /// A batch is one task's: where it goes on elsewhere the stores have become visible, as by the lock that goes with it.
    pub(super) fn hand_over(&self, from: usize) {
        if self.batch.is_some() && from != self.me {
            self.as_cpu(from, M::publish);
        }
    }

    /// Before something is stored where an old entry may be left. It covers all that the batch holds.
    pub(super) fn flush_pending(&mut self, page: usize) {
        let space = self.process.space;
        let flushed = self.as_cpu(self.by[page], |rig| rig.engine().flush_pending(space));
        flushed.unwrap();
        self.settle(Stage::Deferred);
    }

    pub(super) fn start_batch_flush(&mut self) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        let flushing = self.as_cpu(self.me, |_| batch.start());
        self.batch_flush = Some(flushing.unwrap());
        for page in &mut self.pages {
            if page.stage == Stage::Deferred {
                page.stage = Stage::InBatchFlush;
            }
        }
    }

    pub(super) fn look_at_batch(&mut self) {
        let Some(flushing) = &mut self.batch_flush else {
            return;
        };
        if let Poll::Ready(result) = flushing.poll() {
            result.unwrap();
            self.batch_flush = None;
            self.settle(Stage::InBatchFlush);
        }
    }

    /// A flush of all pages that have got so far has returned.
    fn settle(&mut self, stage: Stage) {
        for page in 0..PAGES {
            if self.pages[page].stage == stage {
                self.returned(page);
                self.pages[page].stage = Stage::Settled;
            }
        }
    }
}
