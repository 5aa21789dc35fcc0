//! A secondary TLB, with a watch on every call.

use super::{Bounds, Surroundings};
use crate::conformance::cpus::Check;
use crate::conformance::failure::Failure;
use core::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Fence, Full, Invalidation, Needs, SecondaryTlb};

/// The secondary TLB under test. Every call goes through here, and what holds of each call is checked here.
pub(super) struct Port<'a> {
    tlb: &'a dyn SecondaryTlb,
    pub(super) key: AttachKey,
    pub(super) bounds: Bounds,
    pub(super) surroundings: &'a dyn Surroundings,
    /// As it was when the suite began.
    needs: Needs,
}

impl<'a> Port<'a> {
    pub(super) fn new(
        tlb: &'a dyn SecondaryTlb,
        key: AttachKey,
        bounds: Bounds,
        surroundings: &'a dyn Surroundings,
    ) -> Self {
        Self {
            tlb,
            key,
            bounds,
            surroundings,
            needs: tlb.needs(),
        }
    }

    pub(super) fn needs(&self) -> Result<Needs, Failure> {
        let same = self.tlb.needs() == self.needs;
        same.then_some(self.needs).ok_or(Failure::NeedsChange)
    }

    /// One try.
    pub(super) fn queue(&self, invalidation: &Invalidation) -> Result<Result<(), Full>, Failure> {
        let mut cost = Cost::ZERO;
        let queued = self.tlb.queue(invalidation, &mut cost);
        self.has_only_queued(queued, &cost)
    }

    fn release_once(&self) -> Result<Result<(), Full>, Failure> {
        let mut cost = Cost::ZERO;
        let released = self.tlb.release(self.key, &mut cost);
        self.has_only_queued(released, &cost)
    }

    fn has_only_queued(
        &self,
        queued: Result<(), Full>,
        cost: &Cost,
    ) -> Result<Result<(), Full>, Failure> {
        self.needs()?;
        if cost.doorbells > 0 {
            return Err(Failure::QueueRings);
        }
        if queued.is_err() && (cost.commands, cost.syncs) != (0, 0) {
            return Err(Failure::FullQueues);
        }
        Ok(queued)
    }

    /// Until it is queued. What is in the way is sealed and polled, as the engine does it.
    pub(super) fn queue_at_last(&self, invalidation: &Invalidation) -> Check {
        self.at_last(|| self.queue(invalidation), Failure::NoRoomAgain)
    }

    /// Until it is accepted.
    pub(super) fn release(&self) -> Check {
        self.at_last(|| self.release_once(), Failure::NotReleased)
    }

    fn at_last(
        &self,
        call: impl Fn() -> Result<Result<(), Full>, Failure>,
        never: Failure,
    ) -> Check {
        for _ in 0..self.bounds.polls {
            if call()?.is_ok() {
                return Ok(());
            }
            let mut fence = self.seal()?;
            self.poll(&mut fence)?;
            self.surroundings.relax();
        }
        Err(never)
    }

    pub(super) fn seal(&self) -> Result<Fence, Failure> {
        self.seal_counted().map(|(fence, _)| fence)
    }

    /// The fence, and what the seal cost.
    pub(super) fn seal_counted(&self) -> Result<(Fence, Cost), Failure> {
        let mut cost = Cost::ZERO;
        let fence = self.tlb.seal(&mut cost);
        let doorbells = cost.doorbells;
        if doorbells > 1 {
            return Err(Failure::RingsTwice { doorbells });
        }
        Ok((fence, cost))
    }

    /// One look; whether it has been reached.
    pub(super) fn poll(&self, fence: &mut Fence) -> Result<bool, Failure> {
        let sequence = fence.sequence;
        match self.tlb.poll(fence, &mut Cost::default()) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => Err(Failure::FenceFailed { sequence, error }),
        }
    }

    /// Until it is reached.
    pub(super) fn wait(&self, fence: &mut Fence) -> Check {
        let sequence = fence.sequence;
        for _ in 0..self.bounds.polls {
            if self.poll(fence)? {
                return Ok(());
            }
            self.surroundings.relax();
        }
        Err(Failure::FenceNotReached { sequence })
    }

    /// The same of a fence, or the copy of one, that was reached before.
    pub(super) fn wait_again(&self, fence: &mut Fence) -> Check {
        let sequence = fence.sequence;
        self.wait(fence).map_err(|failure| match failure {
            Failure::FenceNotReached { .. } => Failure::FenceForgotten { sequence },
            other => other,
        })
    }

    /// Queues, seals and waits.
    pub(super) fn flush(&self, flush: Flush) -> Check {
        self.queue_at_last(&self.change(flush))?;
        self.wait(&mut self.seal()?)
    }

    pub(super) fn change(&self, flush: Flush) -> Invalidation {
        let key = self.key;
        Invalidation::Space { key, flush }
    }

    /// The leaf entry of one page of the bounds.
    pub(super) fn page(&self, page: usize) -> Flush {
        let size = self.size();
        let first = self.bounds.pages.first().raw();
        let at = first + page as u64 * size.bytes();
        Flush::page(tlb_shootdown::address::VirtAddr::new(at), size)
    }

    pub(super) fn size(&self) -> PageSize {
        self.bounds.pages.stride()
    }

    pub(super) fn pages(&self) -> PageRange {
        self.bounds.pages
    }
}
