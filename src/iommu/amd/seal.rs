//! How what was queued is sealed, and when its fence is reached.

use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::device_bit::device_bit;
use crate::secondary::{Fence, SecondaryError};
use core::task::Poll;

/// A fence that nothing reaches: what a stopped queue gives.
const NEVER: u64 = u64::MAX;
/// [`Fence::stage`] where the seal has a second stage.
const TWO_STAGES: u32 = 1;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Closes what is open and rings the doorbell; with nothing open, names the seal that carried the caller's commands.
    pub(super) fn seal(&mut self) -> Fence {
        if self.state.stopped.is_some() {
            return Fence::new(NEVER);
        }
        if !self.is_open() {
            if Defect::WaitOwedByFlag.is_put_back() {
                return Fence::new(0);
            }
            return self.last_fence();
        }
        let fence = self.put_wait();
        // Not this seal's alone: what the caller left for the second stage may have been sealed by somebody else.
        let second = self.state.deferred.len() > 0 || self.state.batch.is_some();
        let devices = self.state.deferred.seal(fence, device_bit);
        self.state.open_from = None;
        self.state.sealed = fence;
        self.state.unproven |= devices;
        self.ring_doorbell();
        Fence {
            sequence: fence,
            stage: if second { TWO_STAGES } else { 0 },
            detail: devices,
        }
    }

    /// The fence of what was sealed last, second stages included.
    fn last_fence(&self) -> Fence {
        Fence {
            sequence: self.state.sealed,
            stage: TWO_STAGES,
            detail: self.state.unproven,
        }
    }

    /// Looks whether a fence has been reached, and takes one step of whatever is under way.
    pub(super) fn poll(&mut self, fence: &Fence) -> Poll<Result<(), SecondaryError>> {
        self.refresh();
        self.advance_stages();
        if !self.is_reached(fence) {
            self.tend();
        }
        if self.is_reached(fence) {
            return Poll::Ready(self.verdict(fence));
        }
        match self.state.stopped {
            Some(error) => Poll::Ready(Err(error)),
            // Its queue was stopped when it was sealed, whatever has become of that since.
            None if fence.sequence == NEVER => Poll::Ready(Err(SecondaryError::QueueStopped)),
            None => Poll::Pending,
        }
    }

    fn is_reached(&self, fence: &Fence) -> bool {
        let done = if Defect::AmdSubmittedTakenForDone.is_put_back() {
            self.state.ring.published()
        } else {
            self.state.ring.consumed()
        };
        fence.sequence <= done
            && (fence.stage < TWO_STAGES || !self.is_second_stage_pending(fence.sequence))
    }

    fn verdict(&self, fence: &Fence) -> Result<(), SecondaryError> {
        self.hw.barriers.after_completion();
        for (slot, device) in self.state.devices.iter().enumerate() {
            if let Some(device) = device
                && device.dead
                && fence.detail & device_bit(slot) != 0
                && device.since < fence.sequence
                && self.state.is_bound(slot)
            {
                return Err(SecondaryError::DeviceTimeout {
                    device: u32::from(device.id.0),
                });
            }
        }
        Ok(())
    }
}
