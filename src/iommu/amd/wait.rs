//! Submissions that are waited for at once: set-up, attach and detach. The clock is the caller's.

use super::Iommu;
use super::state::Locked;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::wait::{Halt, reached};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence};

/// Writes commands under the lock.
type Write<'a, M, B, const S: usize, const P: usize> =
    &'a mut dyn FnMut(&mut Locked<'_, M, B, S, P>);

impl<M, B, L, const S: usize, const P: usize> Iommu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Runs commands to their completion. `commands` counts what `write` writes.
    pub(super) fn run(
        &self,
        wait: &mut dyn FnMut() -> bool,
        commands: u64,
        write: Write<'_, M, B, S, P>,
    ) -> Result<(), Halt> {
        self.run_sealed(wait, &mut |l| l.try_submit(commands, &mut *write))
    }

    /// Ends every walk of an address space, and runs what drops all that was cached from it.
    pub(super) fn run_release(
        &self,
        wait: &mut dyn FnMut() -> bool,
        key: AttachKey,
    ) -> Result<(), Halt> {
        self.run_sealed(wait, &mut |l| match l.release(key) {
            Ok(()) => Some(l.seal()),
            Err(_) => {
                l.make_room();
                None
            }
        })
    }

    fn run_sealed(
        &self,
        wait: &mut dyn FnMut() -> bool,
        submit: &mut dyn FnMut(&mut Locked<'_, M, B, S, P>) -> Option<Fence>,
    ) -> Result<(), Halt> {
        let locked = |ask: &mut dyn FnMut() -> bool| self.locked(|_| ask());
        let wait = &mut || Defect::AmdLockedWhileWaiting.asks_under(wait, locked);
        let mut fence = loop {
            let submitted = self.locked(|l| match l.state.stopped {
                Some(error) => Err(Halt::Failed(error)),
                None => Ok(submit(l)),
            })?;
            match submitted {
                Some(fence) => break fence,
                None if wait() => {}
                None => return Err(Halt::Timeout),
            }
        };
        reached(wait, || self.poll_fence(&mut fence, &mut Cost::default()))
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Submits commands with their wait, where there is room.
    fn try_submit(&mut self, commands: u64, write: Write<'_, M, B, S, P>) -> Option<Fence> {
        if !self.can_submit(commands + 1) {
            self.make_room();
            return None;
        }
        write(self);
        let fence = Fence::new(self.put_wait());
        self.ring_doorbell();
        Some(fence)
    }

    /// Does what any poll does for the progress of what others have queued.
    fn make_room(&mut self) {
        self.ring_doorbell();
        self.refresh();
        self.advance_stages();
        self.tend();
    }
}
