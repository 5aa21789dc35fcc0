//! Devices that do not answer (AMD 48882 2.5.8).
//!
//! A COMPLETION_WAIT behind an INVALIDATE_IOTLB_PAGES that timed out completes all the same: only the event log tells. So a second stage counts
//! as complete when its wait has stored and the log has been read to its end. A device that was named, and every device of the batch where
//! records were lost, is asked alone, `[INVALIDATE_IOTLB_PAGES of everything.., COMPLETION_WAIT]`, and one that fails alone is cut off
//! from memory. Only then do the waiting fences complete, those with an invalidation for that device with its name.
//!
//! There is one recovery at a time, its state is under the ring lock, and whoever polls takes it a step further.

use super::command::Command;
use super::event::{Event, Seen};
use super::registers::{self, Control, Status};
use super::retry::{Batch, Cause, LogState, Step};
use super::span::Span;
use super::state::{Device, Locked};
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::device_bit::device_bit;

/// How often one device is asked while records keep being lost, before it counts as silent.
const MOST_TRIES: u32 = 8;

/// What the log has to say of the devices asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Nothing yet: a record is announced and not written, or the log is being started anew.
    NotYet,
    /// Everything there is to say.
    All,
    /// Not everything: records were lost.
    Gaps,
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Takes the batch under way one step further.
    pub(super) fn settle(&mut self) {
        let Some(batch) = self.state.batch else {
            return;
        };
        let complete = self.state.ring.consumed();
        match batch.step {
            Step::Sent { wait } | Step::Cutting { wait } | Step::Asked { wait, .. }
                if complete < wait => {}
            Step::Sent { .. } => self.hear_batch(&batch),
            Step::Asked { slot, tries, .. } => self.hear_device(slot, tries),
            Step::CutOff { slot } => self.invalidate_entry(slot),
            Step::Settling | Step::Cutting { .. } => self.next_suspect(),
        }
    }

    fn hear_batch(&mut self, batch: &Batch) {
        if batch.devices != 0 && !Defect::AmdSilenceBelieved.is_put_back() {
            match self.hear() {
                Heard::NotYet => return,
                Heard::All => {}
                Heard::Gaps => self.suspect_all(batch.devices),
            }
        }
        self.next_suspect();
    }

    pub(super) fn suspect_all(&mut self, devices: u64) {
        for (slot, device) in self.state.devices.iter_mut().enumerate() {
            if let Some(device) = device {
                device.suspect |= device.answers() && devices & device_bit(slot) != 0;
            }
        }
    }

    fn hear_device(&mut self, slot: usize, tries: u32) {
        let heard = self.hear();
        let silent = self.device(slot).is_some_and(|device| device.suspect);
        match heard {
            Heard::NotYet => {}
            Heard::Gaps if !silent && tries < MOST_TRIES => self.ask(slot, tries + 1),
            Heard::All if !silent => self.next_suspect(),
            _ => self.cut_off(slot),
        }
    }

    fn device(&self, slot: usize) -> Option<&Device> {
        self.state.devices.get(slot)?.as_ref()
    }

    pub(super) fn set_step(&mut self, step: Step) {
        if let Some(batch) = &mut self.state.batch {
            batch.step = step;
        }
    }

    fn next_suspect(&mut self) {
        self.set_step(Step::Settling);
        let suspect = |device: &Option<Device>| {
            device
                .as_ref()
                .is_some_and(|device| device.suspect && device.answers())
        };
        match self.state.devices.iter().position(suspect) {
            Some(slot) => self.ask(slot, 1),
            None => self.state.batch = None,
        }
    }

    /// Asks a device alone to forget everything that it holds for anybody.
    fn ask(&mut self, slot: usize, tries: u32) {
        let questions = self.questions(slot).count() as u64;
        if !self.can_submit(questions + 1) {
            self.ring_doorbell();
            return;
        }
        for binding in 0..S {
            if let Some(question) = self.question(slot, binding) {
                self.put(question);
            }
        }
        let wait = self.put_wait();
        self.ring_doorbell();
        if let Some(Some(device)) = self.state.devices.get_mut(slot) {
            device.suspect = false;
        }
        self.set_step(Step::Asked { slot, wait, tries });
    }

    fn questions(&self, slot: usize) -> impl Iterator<Item = Command> {
        (0..S).filter_map(move |binding| self.question(slot, binding))
    }

    fn question(&self, slot: usize, binding: usize) -> Option<Command> {
        let (binding, device) = self.state.context(binding)?;
        let depth = device.queue_depth?;
        (binding.device == slot).then_some(Command::invalidate_device_tlb(
            device.id,
            binding.pasid,
            depth,
            Span::ALL,
        ))
    }

    /// Ends a device's access to memory: neither translated nor untranslated, and its translation requests fail.
    fn cut_off(&mut self, slot: usize) {
        let Some(Some(device)) = self.state.devices.get_mut(slot) else {
            return;
        };
        device.dead = true;
        device.suspect = false;
        let id = device.id;
        self.state.device_table.refuse(id, &self.hw.barriers);
        self.state.deferred.drop_device(slot);
        self.set_step(Step::CutOff { slot });
        self.invalidate_entry(slot);
    }

    fn invalidate_entry(&mut self, slot: usize) {
        let Some(id) = self.device(slot).map(|device| device.id) else {
            // Removed meanwhile, which has invalidated its entry.
            self.next_suspect();
            return;
        };
        if !self.can_submit(2) {
            self.ring_doorbell();
            return;
        }
        self.put(Command::invalidate_device(id));
        let wait = self.put_wait();
        self.ring_doorbell();
        self.set_step(Step::Cutting { wait });
    }

    /// Reads the event log to its end.
    fn hear(&mut self) -> Heard {
        let gaps = match self.look_at_events() {
            Seen::NotYet => return Heard::NotYet,
            Seen::All => false,
            Seen::Lost => true,
        };
        if !self.has_overflowed() {
            return if gaps { Heard::Gaps } else { Heard::All };
        }
        if self.restart_log() {
            Heard::Gaps
        } else {
            Heard::NotYet
        }
    }

    /// Looks at every record that is there, which stays for the kernel to take.
    pub(super) fn look_at_events(&mut self) -> Seen {
        let mut lost = false;
        for _ in 0..1 << registers::MOST_LENGTH {
            let Some(log) = &mut self.state.events else {
                return Seen::All;
            };
            match log.look(&self.hw.registers, &self.hw.barriers) {
                Ok(event) => self.note(&event),
                Err(Seen::Lost) => lost = true,
                Err(Seen::All) if lost => return Seen::Lost,
                Err(seen) => return seen,
            }
        }
        Seen::NotYet
    }

    fn note(&mut self, event: &Event) {
        if let Some(cause) = Cause::of(event) {
            self.state.halts.cause = Some(cause);
        }
        if event.kind() == Event::DEVICE_TIMEOUT
            && let Some(slot) = self.state.device_slot(event.device())
            && let Some(Some(device)) = self.state.devices.get_mut(slot)
        {
            device.suspect = device.answers();
        }
    }

    fn has_overflowed(&self) -> bool {
        self.state.log != LogState::Runs || self.status().contains(Status::EVENT_OVERFLOW)
    }

    pub(super) fn status(&self) -> Status {
        let status = self.hw.registers.read32(registers::STATUS);
        Status::from_bits_truncate(u64::from(status))
    }

    /// Starts the log anew after an overflow, with all its room: records that the kernel has not taken are dropped and counted. Whether it
    /// runs again; the IOMMU may take its time to stop it and to start it.
    pub(super) fn restart_log(&mut self) -> bool {
        let full_again = self.status().contains(Status::EVENT_OVERFLOW);
        if self.state.log == LogState::Starting && !full_again {
            return self.log_runs();
        }
        if self.state.log != LogState::Stopping {
            self.state.log = LogState::Stopping;
            self.write_control(Control::empty());
        }
        if self.status().contains(Status::EVENT_RUN) {
            return false;
        }
        if self.look_at_events() == Seen::NotYet {
            return false;
        }
        let Some(log) = &mut self.state.events else {
            return true;
        };
        let dropped = log.drop_seen(&self.hw.registers);
        self.state.dropped_events = self.state.dropped_events.saturating_add(dropped);
        let overflow = Status::EVENT_OVERFLOW.bits() as u32;
        self.hw.registers.write32(registers::STATUS, overflow);
        self.state.log = LogState::Starting;
        self.write_control(Control::empty());
        self.log_runs()
    }

    /// Whether a log that was switched on runs: nobody is asked before, for the answer would not be recorded.
    fn log_runs(&mut self) -> bool {
        let runs = self.status().contains(Status::EVENT_RUN);
        if runs {
            self.state.log = LogState::Runs;
        }
        runs
    }

    /// Starts the log anew after an overflow, unless a second stage is under way, which sees to it itself and has to know.
    pub(super) fn revive_log(&mut self) {
        if self.state.batch.is_none() && self.state.stopped.is_none() && self.has_overflowed() {
            self.restart_log();
        }
    }

    pub(super) fn acknowledge_interrupts(&self) {
        let raised = Status::EVENT_INTERRUPT | Status::WAIT_INTERRUPT;
        self.hw
            .registers
            .write32(registers::STATUS, raised.bits() as u32);
    }

    /// Writes the control register as it is to be, without some bits.
    pub(super) fn write_control(&self, without: Control) {
        let hw = self.hw;
        let found = Control::from_bits_truncate(hw.registers.read64(registers::CONTROL));
        let mut control = found & Control::PLATFORM
            | Control::IOMMU
            | Control::COHERENT
            | Control::COMMAND_BUFFER;
        let log = self.state.events.is_some() && self.state.log != LogState::Stopping;
        control.set(Control::EVENT_LOG, log);
        control.set(Control::EVENT_INTERRUPT, hw.config.event_interrupt);
        let guest = hw.features.guest_translation && !hw.config.snp;
        control.set(Control::GUEST_TRANSLATION, guest);
        let timeout = (hw.config.device_timeout as u64) << registers::DEVICE_TIMEOUT_SHIFT;
        hw.registers
            .write64(registers::CONTROL, (control - without).bits() | timeout);
    }
}
