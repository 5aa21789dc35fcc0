//! A command buffer that has halted, and how it goes on without losing anybody's command (AMD 48882 2.4, 2.5.6, 2.5.7).
//!
//! The IOMMU halts (CmdBufRun = 0) with its head at the command that it refuses or cannot fetch. A refused one is replaced where it
//! stands by one that covers it. Then the buffer is started anew at the first command that is not known to be complete: an
//! invalidation may run twice, and what had been fetched before the halt need not be told from what had been executed. Nothing passes for
//! complete meanwhile, for only the store of a COMPLETION_WAIT behind a command says so.

use super::command::{Command, opcode};
use super::registers::{self, Control, Status};
use super::retry::{Cause, Halts, Step};
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::SecondaryError;

/// How often the buffer may halt at one position before it counts as stopped.
const MOST_REPEATS: u32 = 8;
/// How often it is found halted, without a word in the event log, before that is believed: a start takes effect some time after it was
/// asked for, and the record of a halt may follow it.
const PATIENCE: u32 = 64;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Looks for a halt, and starts the buffer anew after one.
    pub(super) fn tend(&mut self) {
        if self.state.stopped.is_some() {
            return;
        }
        let status = self.hw.registers.read32(registers::STATUS);
        // A device that is gone reads as all ones; the deadline of who waits for it will pass.
        if u64::from(status) & Status::COMMAND_RUN.bits() != 0 {
            self.state.halts.patience = 0;
            self.state.halts.cause = None;
            return;
        }
        self.look_at_events();
        self.state.halts.patience += 1;
        if self.state.halts.cause.is_some() || self.state.halts.patience > PATIENCE {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let Some(position) = self.halted_at() else {
            self.stop();
            return;
        };
        if !self.may_repeat(position) {
            self.stop();
            return;
        }
        let halts = self.state.halts;
        let refused = match halts.cause {
            Some(Cause::Hardware) => false,
            Some(Cause::Illegal) => true,
            // Without a record, what fails again where it stands is taken for refused.
            None => halts.count > 1,
        };
        if refused && position < self.state.ring.published() && !self.replace(position) {
            self.stop();
            return;
        }
        self.state.replaying = self.state.replaying.max(position);
        self.start_at_first_unproven();
        self.state.halts.cause = None;
        self.state.halts.patience = 0;
    }

    /// Where the head stands: a position between what is complete and what was handed over.
    fn halted_at(&self) -> Option<u64> {
        let head = self.hw.registers.read32(registers::COMMAND_HEAD);
        let ring = &self.state.ring;
        let slots = ring.usable() + 1;
        // QEMU shows the end of the buffer where it means its start.
        let slot =
            (u64::from(head) & registers::POINTER_MASK) >> registers::ENTRY_SHIFT & (slots - 1);
        let ahead = slot.wrapping_sub(ring.slot(ring.consumed())) & (slots - 1);
        let position = ring.consumed() + ahead;
        (position <= ring.published()).then_some(position)
    }

    fn may_repeat(&mut self, position: u64) -> bool {
        let halts = &mut self.state.halts;
        if halts.position != Some(position) {
            *halts = Halts {
                position: Some(position),
                cause: halts.cause,
                ..Halts::default()
            };
        }
        halts.count += 1;
        halts.count <= MOST_REPEATS || Defect::AmdRepeatsForEver.is_put_back()
    }

    /// Puts a command that covers the refused one into its place, where there is one.
    fn replace(&mut self, position: u64) -> bool {
        let refused = self.entry(position);
        if self.state.halts.replaced {
            return false;
        }
        let all = self
            .hw
            .features
            .invalidate_all
            .then_some(Command::invalidate_all());
        let cover = match refused.opcode() {
            opcode::INVALIDATE_DEVTAB_ENTRY => all,
            opcode::INVALIDATE_IOMMU_PAGES => all.or(refused.widened()),
            opcode::INVALIDATE_IOTLB_PAGES => {
                self.suspect(refused);
                Some(Command::wait())
            }
            opcode::COMPLETION_WAIT => None,
            // Nobody writes such a command: its memory was written over, and nothing else in it can be believed.
            _ if self.repeat_last_wait() => {
                self.suspect_batch();
                all
            }
            _ => None,
        };
        let Some(cover) = cover else {
            return false;
        };
        self.cost.escalations += 1;
        self.state.halts.replaced = true;
        self.overwrite(position, cover);
        true
    }

    /// An INVALIDATE_IOTLB_PAGES was refused: its device was not told, and is asked alone; if that was the question, it has failed.
    fn suspect(&mut self, refused: Command) {
        if let Some(slot) = self.state.device_slot(refused.device())
            && let Some(Some(device)) = self.state.devices.get_mut(slot)
        {
            device.suspect = device.answers();
        } else {
            self.suspect_batch();
        }
    }

    /// Some command of the batch under way was not executed. Outside a batch no command concerns a device's own TLB.
    fn suspect_batch(&mut self) {
        let Some(batch) = self.state.batch else {
            return;
        };
        self.suspect_all(u64::MAX);
        if let Step::Asked { .. } = batch.step {
            // Its device is not to blame, and is asked anew.
            self.set_step(Step::Settling);
        }
    }

    /// Stands in for a COMPLETION_WAIT that may have been lost; `false` without room.
    fn repeat_last_wait(&mut self) -> bool {
        if !self.can_submit(1) {
            return false;
        }
        self.put_wait();
        self.state.ring.publish();
        true
    }

    /// The buffer is halted, so head and tail may be written.
    fn start_at_first_unproven(&mut self) {
        self.publish_entries();
        self.write_control(Control::COMMAND_BUFFER);
        if Defect::RestartForgetsCommands.is_put_back() {
            self.state.ring.discard();
        }
        let head = self.pointer(self.state.ring.consumed());
        let tail = self.pointer(self.state.ring.published());
        self.hw.registers.write32(registers::COMMAND_HEAD, head);
        self.hw.registers.write32(registers::COMMAND_TAIL, tail);
        self.write_control(Control::empty());
    }

    /// Nothing is submitted from here on, and no fence is reached.
    pub(super) fn stop(&mut self) {
        self.state
            .stopped
            .get_or_insert(SecondaryError::QueueStopped);
    }
}
