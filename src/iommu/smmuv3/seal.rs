//! How what was queued is sealed, and when its fence is reached.

use super::command::{Command, opcode};
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::device_bit::device_bit;
use crate::secondary::{Fence, SecondaryError};
use core::task::Poll;

/// A fence that no consumer reaches: what a stopped queue gives.
const NEVER: u64 = u64::MAX;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Closes what is open and rings the doorbell; with nothing open, names the seal that carried the caller's commands.
    pub(super) fn seal(&mut self) -> Fence {
        if self.state.stopped.is_some() {
            return Fence::new(NEVER);
        }
        if !self.is_open() {
            return self.fence(self.state.sealed, self.state.unproven);
        }
        let open = self.state.open_from.unwrap_or(self.state.ring.written());
        let end = self.state.ring.written();
        let has_atcs = self.state.pending.len() > 0;
        if self.hw.config.repeat_invalidations {
            if !Defect::RepeatWithoutItsSync.is_put_back() {
                self.close_run();
            }
            for position in open..end {
                let command = self.entry(position);
                if command.opcode() == opcode::SYNC {
                    self.put_sync(Command::sync());
                } else {
                    self.put(command);
                }
            }
        }
        let mut devices = 0;
        if has_atcs {
            if !Defect::TlbiAndAtcInOneWindow.is_put_back() {
                self.close_run();
            }
            devices = self.put_pending();
        }
        // Where a CMD_SYNC stands at the end already, it is a set-up's, which signals as well, or a retry's, which is not over
        // before CMDQ_CONS has shown it consumed.
        if self.state.ring.written() > self.state.synced {
            self.put_last_sync();
        }
        self.state.open_from = None;
        self.state.sealed = self.state.ring.written();
        self.state.unproven |= devices;
        self.ring_doorbell();
        self.fence(self.state.sealed, devices)
    }

    fn fence(&self, sequence: u64, devices: u64) -> Fence {
        Fence {
            detail: devices,
            ..Fence::new(sequence)
        }
    }

    /// Writes the remembered ATC_INVs; gives their devices.
    fn put_pending(&mut self) -> u64 {
        let mut devices = 0;
        while let Some((stream, command)) = self.state.pending.pop() {
            devices |= self.put_atc(stream, command);
        }
        devices
    }

    pub(super) fn put_atc(&mut self, stream: usize, command: Command) -> u64 {
        self.put(command);
        let end = self.state.ring.written();
        if let Some(Some(stream)) = self.state.streams.get_mut(stream) {
            stream.last_atc = end;
        }
        device_bit(stream)
    }

    /// Looks whether a fence has been reached, and takes one step of whatever recovery is under way.
    pub(super) fn poll(&mut self, fence: &Fence) -> Poll<Result<(), SecondaryError>> {
        self.refresh();
        if self.is_proven(fence) {
            return Poll::Ready(self.verdict(fence));
        }
        self.tend();
        if self.is_proven(fence) {
            return Poll::Ready(self.verdict(fence));
        }
        match self.state.stopped {
            Some(error) => Poll::Ready(Err(error)),
            // Its queue was stopped when it was sealed, whatever has become of that since.
            None if fence.sequence == NEVER => Poll::Ready(Err(SecondaryError::QueueStopped)),
            None => Poll::Pending,
        }
    }

    fn is_proven(&self, fence: &Fence) -> bool {
        let floor = self
            .state
            .recovery
            .as_ref()
            .map_or(u64::MAX, |recovery| recovery.floor);
        let done = if Defect::SmmuSubmittedTakenForDone.is_put_back() {
            self.state.ring.published()
        } else {
            self.state.ring.consumed()
        };
        fence.sequence <= done.min(floor)
    }

    fn verdict(&mut self, fence: &Fence) -> Result<(), SecondaryError> {
        self.hw.barriers.after_completion();
        if self.state.recovery.is_none() {
            self.state.proven = self.state.proven.max(fence.sequence);
        }
        for (slot, stream) in self.state.streams.iter().enumerate() {
            if let Some(stream) = stream
                && stream.dead
                && fence.detail & device_bit(slot) != 0
                && stream.since < fence.sequence
                && self.state.is_bound(slot)
            {
                return Err(SecondaryError::DeviceTimeout {
                    device: stream.id.0,
                });
            }
        }
        Ok(())
    }
}
