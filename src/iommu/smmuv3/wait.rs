//! Submissions that are waited for at once: set-up, attach and detach. The clock is the caller's.

use super::Smmu;
use super::state::Locked;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::wait::{Halt, reached};
use crate::lock::RingLock;
use crate::secondary::{Fence, SecondaryError};

/// Writes commands under the lock.
type Write<'a, M, B, const S: usize, const P: usize> =
    &'a mut dyn FnMut(&mut Locked<'_, M, B, S, P>);

impl<M, B, L, const S: usize, const P: usize> Smmu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Runs configuration or TLB invalidations to their completion: twice where an erratum asks for it, each time with its
    /// own CMD_SYNC. `commands` counts what `write` writes.
    pub(super) fn run(
        &self,
        wait: &mut dyn FnMut() -> bool,
        commands: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<(), Halt> {
        let twice = self.hardware().config.repeat_invalidations;
        let entries = if twice { 2 * commands + 1 } else { commands };
        self.run_once(wait, entries, &mut |l| {
            write(l);
            if twice {
                l.close_run();
                write(l);
            }
        })
    }

    /// Runs commands to their completion. A device that does not answer is cut off, which is an end as well.
    pub(super) fn run_once(
        &self,
        wait: &mut dyn FnMut() -> bool,
        commands: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<(), Halt> {
        let locked = |ask: &mut dyn FnMut() -> bool| self.locked(|_| ask());
        let wait = &mut || Defect::SmmuLockedWhileWaiting.asks_under(wait, locked);
        let mut fence = loop {
            match self.locked(|l| l.try_submit(commands, &mut *write)) {
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
    /// Submits commands with a CMD_SYNC before and after them, where there is room.
    fn try_submit(
        &mut self,
        commands: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<Option<Fence>, SecondaryError> {
        if let Some(error) = self.state.stopped {
            return Err(error);
        }
        let entries = self.needed_to_submit(commands + 2);
        if !self.has_room(entries) {
            // What is written but not sealed is completed by its seal all the same; consumed, it makes room.
            self.ring_doorbell();
            self.tend();
            return Ok(None);
        }
        self.close_run();
        write(self);
        self.put_last_sync();
        self.ring_doorbell();
        Ok(Some(Fence::new(self.state.ring.written())))
    }
}
