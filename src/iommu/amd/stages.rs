//! The second stage: a device's TLB is asked to forget only after the IOMMU's own has forgotten, or it would be filled anew from there.
//!
//! Commands of one buffer may be executed in any order up to a COMPLETION_WAIT, and such a wait holds back nothing that follows it
//! (unless its F bit is honoured, which no driver in the field relies on). So the second stage is handed over when the first one's wait has
//! stored, by whoever polls, for everybody whose first stage is complete: two waits and two doorbells, however many devices there are.

use super::command::Command;
use super::retry::{Batch, Step};
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::device_bit::device_bit;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Takes the second stage one step further.
    pub(super) fn advance_stages(&mut self) {
        if self.state.stopped.is_some() {
            return;
        }
        if self.state.batch.is_some() {
            self.settle();
        }
        if self.state.batch.is_none() {
            self.start_batch();
        }
    }

    fn start_batch(&mut self) {
        let Some(since) = self.state.deferred.oldest() else {
            return;
        };
        let ready = self.state.deferred.ready(self.state.ring.consumed());
        if ready == 0 {
            return;
        }
        // Its room was set aside, with its wait: whoever writes leaves that, and the batch before has given back what it took.
        let mut devices = 0;
        for _ in 0..ready {
            if let Some((device, command)) = self.state.deferred.pop() {
                self.put(command);
                devices |= device.map_or(0, device_bit);
            }
        }
        let wait = self.put_wait();
        self.ring_doorbell();
        self.state.batch = Some(Batch {
            since,
            devices,
            step: Step::Sent { wait },
        });
    }

    /// Whether a second stage that this fence waits for is not complete.
    pub(super) fn is_second_stage_pending(&self, fence: u64) -> bool {
        let under_way = self.state.batch.as_ref().map(|batch| batch.since);
        let oldest = under_way.or(self.state.deferred.oldest());
        oldest.is_some_and(|oldest| oldest <= fence)
    }

    /// Queues a later-stage command that concerns the TLB of the device in this slot, or the IOMMU's own.
    pub(super) fn defer(&mut self, device: Option<usize>, command: Command) {
        if device.is_some() && Defect::DeviceTlbNotDeferred.is_put_back() {
            return self.put(command);
        }
        self.state.deferred.push(device, command);
    }
}
