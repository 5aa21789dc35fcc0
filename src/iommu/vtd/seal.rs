//! How what was queued is sealed, and when its fence is reached.

use super::command::Command;
use super::queue::{FENCE, PLAIN};
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::device_bit::device_bit;
use crate::secondary::{Fence, SecondaryError};
use core::task::Poll;

/// A fence that no wait reaches: what a stopped queue gives.
const NEVER: u64 = u64::MAX;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Closes what is open and rings the doorbell; with nothing open, names the seal that carried the caller's descriptors.
    pub(super) fn seal(&mut self) -> Fence {
        if self.state.stopped.is_some() {
            return Fence::new(NEVER);
        }
        if !self.is_open() {
            return fence(self.state.sealed, self.state.unproven);
        }
        let mut devices = 0;
        if self.state.pending.len() > 0 {
            if self.hw.config.wait_before_device_tlbs {
                self.put_wait(FENCE);
            }
            devices = self.put_pending();
        }
        if self.state.ring.written() > self.state.waited {
            self.put_wait(PLAIN);
        }
        self.state.open_from = None;
        self.state.sealed = self.state.ring.written();
        self.state.unproven |= devices;
        self.ring_doorbell();
        fence(self.state.sealed, devices)
    }

    /// Writes the remembered device invalidations; gives their devices.
    pub(super) fn put_pending(&mut self) -> u64 {
        let mut devices = 0;
        while let Some((device, command)) = self.state.pending.pop() {
            devices |= self.put_device_flush(device, command);
        }
        devices
    }

    /// Writes a device invalidation; gives the device's bit.
    pub(super) fn put_device_flush(&mut self, device: usize, command: Command) -> u64 {
        self.put(command);
        let end = self.state.ring.written();
        if let Some(Some(device)) = self.state.devices.get_mut(device) {
            device.last_flush = end;
        }
        device_bit(device)
    }

    /// Looks whether a fence has been reached, and takes one step of whatever recovery is under way.
    pub(super) fn poll(&mut self, fence: &Fence) -> Poll<Result<(), SecondaryError>> {
        self.refresh();
        self.look_at(fence.sequence);
        if self.is_proven(fence) {
            return Poll::Ready(self.verdict(fence));
        }
        self.tend();
        self.look_at(fence.sequence);
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
        let done = if Defect::VtdSubmittedTakenForDone.is_put_back() {
            self.state.ring.published()
        } else {
            self.state.completed
        };
        fence.sequence <= done.min(floor)
    }

    fn verdict(&self, fence: &Fence) -> Result<(), SecondaryError> {
        for (slot, device) in self.state.devices.iter().enumerate() {
            if let Some(device) = device
                && device.dead
                && fence.detail & device_bit(slot) != 0
                && device.since < fence.sequence
                && self.state.bindings_of(slot).next().is_some()
            {
                return Err(SecondaryError::DeviceTimeout {
                    device: device.id.0.into(),
                });
            }
        }
        Ok(())
    }
}

fn fence(sequence: u64, devices: u64) -> Fence {
    Fence {
        detail: devices,
        ..Fence::new(sequence)
    }
}
