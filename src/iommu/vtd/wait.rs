//! Submissions that are waited for at once: set-up, attach and detach. The clock is the caller's.

use super::Vtd;
use super::command::WaitOptions;
use super::queue::PLAIN;
use super::state::Locked;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::wait::{Halt, reached};
use crate::lock::RingLock;
use crate::secondary::{Fence, SecondaryError};

/// Writes descriptors under the lock.
type Write<'a, M, B, const S: usize, const P: usize> =
    &'a mut dyn FnMut(&mut Locked<'_, M, B, S, P>);

impl<M, B, L, const S: usize, const P: usize> Vtd<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Runs descriptors to their completion; `entries` counts what `write` writes.
    pub(super) fn run(
        &self,
        wait: &mut dyn FnMut() -> bool,
        entries: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<(), Halt> {
        self.run_with(PLAIN, wait, entries, write)
    }

    /// As [`Self::run`], with a last wait of this kind.
    pub(super) fn run_with(
        &self,
        last: WaitOptions,
        wait: &mut dyn FnMut() -> bool,
        entries: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<(), Halt> {
        let locked = |ask: &mut dyn FnMut() -> bool| self.locked(|_| ask());
        let wait = &mut || Defect::VtdLockedWhileWaiting.asks_under(wait, locked);
        let mut fence = loop {
            match self.locked(|l| l.try_submit(last, entries, &mut *write)) {
                Ok(Some(fence)) => break fence,
                Ok(None) if wait() => {}
                Ok(None) => return Err(Halt::Timeout),
                Err(error) => return Err(Halt::Failed(error)),
            }
        };
        reached(wait, || self.poll_fence(&mut fence, &mut Cost::default()))
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Submits descriptors with a wait behind them, where there is room and no recovery is under way.
    fn try_submit(
        &mut self,
        last: WaitOptions,
        entries: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<Option<Fence>, SecondaryError> {
        if let Some(error) = self.state.stopped {
            return Err(error);
        }
        let entries = self.needed_to_submit(entries + 1);
        if self.state.recovery.is_some() || !self.has_room(entries) {
            // What is written but not sealed is completed by its seal all the same; fetched, it makes room.
            self.ring_doorbell();
            self.tend();
            return Ok(None);
        }
        write(self);
        self.put_wait(last);
        self.ring_doorbell();
        // It names no device: one that does not answer is cut off, and that is an end as well.
        Ok(Some(Fence::new(self.state.ring.written())))
    }
}
