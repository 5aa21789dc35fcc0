//! Errors of the queue, and how it goes on without losing anybody's invalidation (VT-d 6.5.2.11, FSTS and IQERCD).
//!
//! * A descriptor that is refused (IQE) is replaced where it stands by one that covers it. A fetch that failed is tried again, a few
//!   times. Clearing FSTS.IQE lets a unit go on; some go on with the next write of IQT alone, and so the tail is written again.
//! * A device that does not answer (ITE) aborts every wait that was fetched, whosever it was. Every fence from there on is unproven: all
//!   that the unit caches is invalidated anew, then the devices concerned are asked one by one, each behind a fence, so that a
//!   time-out has one cause. One that fails alone is cut off from memory. Only then do the waiting fences complete, those
//!   with an invalidation for that device with its name. No device TLB is told of anything else meanwhile ([`Full`]).
//! * A completion that nobody waits for (ICE) stops nothing and is acknowledged.
//!
//! There is one recovery at a time, its state is under the ring lock, and whoever polls takes it a step further.
//!
//! [`Full`]: crate::secondary::Full

use super::command::{Command, kind};
use super::config::Mode;
use super::context_entry::ContextEntry;
use super::ids::SourceId;
use super::queue::FENCE;
use super::registers::{self, Faults, QueueError};
use super::retry::{Recovery, Repeats, Step};
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::SecondaryError;

/// How often the queue may stop at one position before it counts as stopped for good.
const MOST_REPEATS: u32 = 8;
/// The most entries of [`Locked::put_everything`].
pub(super) const EVERYTHING: u64 = 5;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Looks for errors, and takes what is under way one step further.
    pub(super) fn tend(&mut self) {
        if self.state.stopped.is_some() {
            return;
        }
        self.check_errors();
        self.tend_write_buffer();
        self.refresh();
        if self.state.stopped.is_none() {
            self.step_recovery();
        }
    }

    /// FSTS as it is; nothing from a unit that is gone and reads as all ones.
    pub(super) fn faults(&self) -> Faults {
        match self.hw.registers.read32(registers::FSTS) {
            u32::MAX => Faults::empty(),
            status => Faults::from_bits_truncate(status),
        }
    }

    /// Clears one error: written with a one.
    pub(super) fn acknowledge(&self, fault: Faults) {
        self.hw.registers.write32(registers::FSTS, fault.bits());
    }

    fn check_errors(&mut self) {
        let faults = self.faults();
        if faults.contains(Faults::COMPLETION) {
            self.acknowledge(Faults::COMPLETION);
        }
        if faults.contains(Faults::TIME_OUT) {
            self.device_timed_out();
            self.acknowledge(Faults::TIME_OUT);
        }
        if faults.contains(Faults::QUEUE) && self.state.stopped.is_none() {
            self.queue_error();
        }
    }

    fn queue_error(&mut self) {
        let reason = QueueError::from_iqer(self.hw.registers.read64(registers::IQER));
        let Some(position) = self.head() else {
            return;
        };
        let outstanding = position < self.state.ring.published();
        let replaceable = outstanding && reason == QueueError::Descriptor;
        if !self.may_repeat(position) || (replaceable && self.state.repeats.replaced) {
            self.state.stopped = Some(SecondaryError::QueueStopped);
            return;
        }
        if replaceable {
            self.replace(position);
        }
        self.order_entries();
        self.acknowledge(Faults::QUEUE);
        self.write_tail();
    }

    fn may_repeat(&mut self, position: u64) -> bool {
        if self.state.repeats.position != Some(position) {
            self.state.repeats = Repeats {
                position: Some(position),
                ..Repeats::default()
            };
        }
        self.state.repeats.count += 1;
        self.state.repeats.count <= MOST_REPEATS || Defect::VtdRepeatsForEver.is_put_back()
    }

    /// Puts a descriptor that covers the refused one into its place, where the unit fetches it anew.
    fn replace(&mut self, position: u64) {
        let refused = self.entry(position);
        let kind = if Defect::RefusedDescriptorLost.is_put_back() {
            kind::WAIT
        } else {
            refused.kind()
        };
        let cover = match kind {
            kind::CONTEXT_CACHE => Command::context_cache_all(),
            kind::PASID_CACHE if self.hw.config.mode == Mode::Scalable => {
                Command::pasid_cache_all()
            }
            kind::IOTLB | kind::PASID_IOTLB => Command::iotlb_all(self.hw.features.drain),
            kind::INTERRUPT_ENTRY_CACHE => Command::interrupt_entries_all(),
            kind => {
                if kind != kind::WAIT {
                    self.suspect_refused(refused.device(), position);
                }
                let slot = self.state.ring.slot(position) as usize;
                self.state.status.store(slot, self.state.completed);
                self.wait_at(position, FENCE)
            }
        };
        self.cost.escalations += 1;
        self.state.repeats.replaced = true;
        self.overwrite(position, cover);
    }

    /// A device was not told, and is asked again alone; if that was the question, it has failed. A descriptor that names none, because its
    /// memory was written over, may have been for anybody.
    fn suspect_refused(&mut self, device: Option<SourceId>, position: u64) {
        let Some(device) = device.and_then(|device| self.state.device_slot(device)) else {
            self.suspect_unproven();
            self.redo();
            return;
        };
        if let Some(Recovery {
            step: Step::Asked { slot, start, end },
            ..
        }) = self.state.recovery
            && (start..end).contains(&position)
        {
            self.cut_off(slot);
        } else if let Some(Some(device)) = self.state.devices.get_mut(device) {
            device.suspect = device.answering().is_some();
        }
        self.redo();
    }

    /// Every device with an invalidation that is not known to be complete is to be asked.
    fn suspect_unproven(&mut self) {
        let proven = self.floor();
        for device in self.state.devices.iter_mut().flatten() {
            device.suspect |= device.answering().is_some() && device.last_flush > proven;
        }
    }

    /// Waits were aborted because of some device.
    fn device_timed_out(&mut self) {
        // The unit completes nothing between the abort and the acknowledgement: what is seen now was complete before.
        self.refresh_outstanding();
        if let Some(Recovery {
            step: Step::Asked { slot, end, .. },
            ..
        }) = self.state.recovery
        {
            if self.state.completed < end {
                self.cut_off(slot);
            } else {
                self.acquit(slot);
            }
        }
        if Defect::AbortedWaitsLost.is_put_back() {
            return;
        }
        self.suspect_unproven();
        self.redo();
        // Each time-out ends an invalidation that was outstanding, and no new ones come.
        let most = 2 * self.state.ring.usable();
        if let Some(recovery) = &mut self.state.recovery {
            recovery.time_outs += 1;
            if recovery.time_outs > most {
                self.state.stopped = Some(SecondaryError::QueueStopped);
            }
        }
    }

    fn floor(&self) -> u64 {
        let recovery = self.state.recovery.as_ref();
        recovery.map_or(self.state.completed, |recovery| recovery.floor)
    }

    /// Begins a recovery, or begins it anew: what it had under way may have been aborted as well.
    fn redo(&mut self) {
        let floor = self.floor();
        let recovery = self.state.recovery.get_or_insert(Recovery {
            floor,
            step: Step::Redo,
            time_outs: 0,
        });
        recovery.step = Step::Redo;
    }

    /// Ends a device's access to memory: its context entry is gone, which refuses translated accesses as well, and the unit forgets it
    /// with the invalidation of everything that follows.
    fn cut_off(&mut self, slot: usize) {
        let Some(Some(device)) = self.state.devices.get_mut(slot) else {
            return;
        };
        device.dead = true;
        device.suspect = false;
        let id = device.id;
        let (barriers, coherent) = (&self.hw.barriers, self.hw.features.coherent);
        // Its page is there since the device was added.
        let _ = self
            .state
            .tables
            .write(id, ContextEntry::ABSENT, barriers, coherent);
        self.state.pending.drop_device(slot);
    }

    fn acquit(&mut self, slot: usize) {
        if let Some(Some(device)) = self.state.devices.get_mut(slot) {
            device.suspect = false;
        }
    }

    fn set_step(&mut self, step: Step) {
        if let Some(recovery) = &mut self.state.recovery {
            recovery.step = step;
        }
    }

    fn step_recovery(&mut self) {
        let Some(recovery) = self.state.recovery else {
            return;
        };
        if let Step::Redoing { end } | Step::Asked { end, .. } = recovery.step {
            self.look_at(end);
            if self.state.completed < end {
                return;
            }
        }
        match recovery.step {
            Step::Redo => {
                if let Some((_, end)) = self.submit_step(EVERYTHING, Self::put_everything) {
                    self.set_step(Step::Redoing { end });
                }
            }
            Step::Asked { slot, .. } => {
                self.acquit(slot);
                self.next_suspect();
            }
            Step::Idle | Step::Redoing { .. } => self.next_suspect(),
        }
    }

    fn next_suspect(&mut self) {
        self.set_step(Step::Idle);
        let suspect = |device: &Option<super::state::Device>| {
            let device = device.as_ref();
            device.is_some_and(|device| device.suspect && device.answering().is_some())
        };
        let Some(slot) = self.state.devices.iter().position(suspect) else {
            self.state.recovery = None;
            self.refresh_outstanding();
            return;
        };
        if !self.others_are_done() {
            return;
        }
        let most = 2 * self.state.bindings_of(slot).count() as u64 + 1;
        if let Some((start, end)) = self.submit_step(most, |l| l.put_question(slot)) {
            self.set_step(Step::Asked { slot, start, end });
        }
    }

    /// Whether no device invalidation is outstanding: one that was queued before the error and sealed since would time out beside the
    /// question, and be taken for it. None is queued meanwhile, and every seal ends in a wait.
    fn others_are_done(&mut self) -> bool {
        let devices = self.state.devices.iter().flatten();
        let latest = devices.map(|device| device.last_flush).max().unwrap_or(0);
        if self.state.completed < latest {
            self.refresh_outstanding();
        }
        self.state.completed >= latest
    }

    /// At most [`EVERYTHING`] entries: all that the unit caches, each cache after those that could refill it (6.5.3.3).
    pub(super) fn put_everything(&mut self) {
        self.put(Command::context_cache_all());
        self.put_wait(FENCE);
        self.put_pasid_cache();
        let all = Command::iotlb_all(self.hw.features.drain);
        self.put(all);
    }

    /// Two entries, or none in legacy mode: the PASID cache, and what holds back those that follow.
    pub(super) fn put_pasid_cache(&mut self) {
        if self.hw.config.mode == Mode::Scalable {
            self.put(Command::pasid_cache_all());
            self.put_wait(FENCE);
        }
    }

    /// Submits at most that many entries and a fence, apart from whatever is open; gives the positions of the first and behind the last.
    /// Without room, what is written goes to the unit, so that there will be room.
    fn submit_step(&mut self, entries: u64, write: impl FnOnce(&mut Self)) -> Option<(u64, u64)> {
        let entries = self.needed_to_submit(entries + 1);
        if !self.has_room(entries) {
            self.ring_doorbell();
            return None;
        }
        let start = self.state.ring.written();
        write(self);
        self.put_wait(FENCE);
        self.ring_doorbell();
        Some((start, self.state.ring.written()))
    }
}
