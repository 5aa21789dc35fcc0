//! Errors of the command queue, and how the queue goes on without losing anybody's command (IHI 0070 7.1, 7.5).
//!
//! * An illegal command is replaced where it stands by one that covers it.
//! * An aborted fetch is tried again, a few times.
//! * A CMD_SYNC that could not complete an ATC_INV does not say which. Every fence from there on is unproven: the devices
//!   concerned are asked one by one, `[ATC_INV of everything, CMD_SYNC]`, and one that fails alone is cut off from memory.
//!   Only then do the waiting fences complete, those with an invalidation for that device with its name.
//!
//! There is one recovery at a time, its state is under the ring lock, and whoever polls takes it a step further.

use super::atc::AtcBlock;
use super::command::{Command, opcode};
use super::config::Completion;
use super::registers::{self, CommandError, GlobalErrors};
use super::retry::{Recovery, Repeats, Step};
use super::state::Locked;
use super::stream_table::StreamTableEntry;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::SecondaryError;

/// How often a CMD_SYNC may fail, or a fetch abort, at one position before the queue counts as stopped.
const MOST_REPEATS: u32 = 8;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Looks for errors, and takes the recovery one step further.
    pub(super) fn tend(&mut self) {
        if self.state.stopped.is_some() {
            return;
        }
        self.check_errors();
        self.refresh();
        if self.state.stopped.is_none() {
            self.step_recovery();
        }
    }

    /// The global errors that are active now: where GERROR and GERRORN differ.
    pub(super) fn active_errors(&self) -> GlobalErrors {
        let raised = self.hw.registers.read32(registers::GERROR);
        let acknowledged = self.hw.registers.read32(registers::GERRORN);
        GlobalErrors::from_bits_truncate(raised ^ acknowledged)
    }

    /// Acknowledges errors by toggling their bits. Only active ones may be toggled (6.3.20).
    pub(super) fn acknowledge(&self, active: GlobalErrors) {
        if !active.is_empty() {
            let acknowledged = self.hw.registers.read32(registers::GERRORN);
            let toggled = if Defect::InactiveErrorsToggled.is_put_back() {
                u32::MAX
            } else {
                active.bits()
            };
            self.hw
                .registers
                .write32(registers::GERRORN, acknowledged ^ toggled);
        }
    }

    fn check_errors(&mut self) {
        let active = self.active_errors();
        if active.contains(GlobalErrors::SERVICE_FAILURE) {
            self.state.stopped = Some(SecondaryError::Failed);
            return;
        }
        if active.contains(GlobalErrors::MSI_CMDQ_ABORT) {
            self.state.completion = Completion::Poll;
            self.acknowledge(GlobalErrors::MSI_CMDQ_ABORT);
        }
        if active.contains(GlobalErrors::CMDQ) {
            self.command_error();
        }
    }

    fn command_error(&mut self) {
        let cons = self.refresh_from_register();
        let position = self.state.ring.consumed();
        if position >= self.state.ring.published() || !self.may_repeat(position) {
            self.state.stopped = Some(SecondaryError::QueueStopped);
            return;
        }
        match CommandError::from_cons(cons) {
            CommandError::FetchAbort => {}
            CommandError::AtcTimeout if Defect::SmmuSilenceBelieved.is_put_back() => {}
            CommandError::AtcTimeout => self.blame(position),
            CommandError::Illegal if self.state.repeats.replaced => {
                self.state.stopped = Some(SecondaryError::QueueStopped);
                return;
            }
            CommandError::Illegal => self.replace(position),
        }
        self.acknowledge(GlobalErrors::CMDQ);
    }

    fn may_repeat(&mut self, position: u64) -> bool {
        if self.state.repeats.position != Some(position) {
            self.state.repeats = Repeats {
                position: Some(position),
                ..Repeats::default()
            };
        }
        self.state.repeats.count += 1;
        self.state.repeats.count <= MOST_REPEATS
    }

    /// Puts a command that covers the illegal one into its place. The SMMU fetches it anew after the acknowledgement.
    fn replace(&mut self, position: u64) {
        let refused = self.entry(position);
        let cover = match refused.opcode() {
            _ if Defect::RefusedCommandLost.is_put_back() => Command::sync(),
            opcode::PREFETCH_CONFIG | opcode::PREFETCH_ADDR => Command::sync(),
            opcode::CFGI_STE..=opcode::CFGI_VMS_PIDM => Command::cfgi_all(),
            opcode::TLBI_EL2_ALL..=opcode::TLBI_EL2_VAA => Command::tlbi_el2_all(),
            opcode::TLBI_NH_ALL..=opcode::TLBI_NSNH_ALL => Command::tlbi_nsnh_all(),
            opcode::ATC_INV => {
                self.suspect_refused(refused, position);
                Command::sync()
            }
            _ => {
                self.state.completion = Completion::Poll;
                Command::sync()
            }
        };
        self.cost.escalations += 1;
        self.state.repeats.replaced = true;
        self.overwrite(position, cover);
        self.publish_entries(position..position + 1);
    }

    /// An ATC_INV was refused: its device was not told, and is asked again alone; if that was the question, it has failed.
    fn suspect_refused(&mut self, refused: Command, position: u64) {
        if let Some(Recovery {
            step: Step::Asked { slot, sync },
            ..
        }) = self.state.recovery
            && position + 1 == sync
        {
            self.cut_off(slot);
            return;
        }
        self.take_answer(position);
        if let Some(slot) = self.state.stream_slot(refused.stream())
            && let Some(Some(stream)) = self.state.streams.get_mut(slot)
        {
            stream.suspect = stream.answers();
        }
        self.begin(position);
    }

    /// The CMD_SYNC at this position could not complete some ATC_INV.
    fn blame(&mut self, position: u64) {
        if let Some(Recovery {
            step: Step::Asked { slot, sync },
            ..
        }) = self.state.recovery
            && position == sync
        {
            self.cut_off(slot);
            return;
        }
        self.take_answer(position);
        let proven = self.state.proven;
        for stream in self.state.streams.iter_mut().flatten() {
            stream.suspect |= stream.answers() && stream.last_atc > proven;
        }
        self.begin(position);
    }

    /// The device that was asked has answered before this position: that settles what it was suspected of until then, and nothing of what
    /// is found out now.
    fn take_answer(&mut self, position: u64) {
        if let Some(Recovery {
            step: Step::Asked { slot, sync },
            ..
        }) = self.state.recovery
            && sync < position
        {
            self.clear_suspicion(slot);
            self.set_step(Step::Idle);
        }
    }

    fn clear_suspicion(&mut self, slot: usize) {
        if let Some(Some(stream)) = self.state.streams.get_mut(slot) {
            stream.suspect = false;
        }
    }

    fn begin(&mut self, position: u64) {
        self.state.recovery.get_or_insert(Recovery {
            floor: position,
            step: Step::Idle,
        });
    }

    /// Ends a device's access to memory: no walk, and with CR0.ATSCHK no translated access either.
    fn cut_off(&mut self, slot: usize) {
        let Some(Some(stream)) = self.state.streams.get_mut(slot) else {
            return;
        };
        stream.dead = true;
        stream.suspect = false;
        let id = stream.id.0;
        self.state.stream_table.write(
            id,
            StreamTableEntry::ABORT,
            &self.hw.barriers,
            self.hw.features.coherent,
        );
        self.state.pending.drop_device(slot);
        self.set_step(Step::CutOff { slot });
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
        let consumed = self.state.ring.consumed();
        match recovery.step {
            Step::Asked { sync, .. } | Step::Cutting { sync } if consumed <= sync => {}
            Step::CutOff { slot } => self.invalidate_entry(slot),
            Step::Asked { slot, .. } => {
                self.clear_suspicion(slot);
                self.next_suspect();
            }
            Step::Idle | Step::Cutting { .. } => self.next_suspect(),
        }
    }

    fn next_suspect(&mut self) {
        self.set_step(Step::Idle);
        let suspect = |stream: &Option<super::state::Stream>| {
            stream
                .as_ref()
                .is_some_and(|stream| stream.suspect && stream.answers())
        };
        let Some(slot) = self.state.streams.iter().position(suspect) else {
            self.state.recovery = None;
            return;
        };
        if let Some(Some(stream)) = self.state.streams.get(slot) {
            let question = Command::atc_inv(stream.id, None, AtcBlock::ALL);
            if let Some(sync) = self.submit_step(question, 1) {
                self.set_step(Step::Asked { slot, sync });
            }
        }
    }

    fn invalidate_entry(&mut self, slot: usize) {
        if let Some(Some(stream)) = self.state.streams.get(slot) {
            let command = Command::cfgi_ste(stream.id, true);
            let times = if self.hw.config.repeat_invalidations {
                2
            } else {
                1
            };
            if let Some(sync) = self.submit_step(command, times) {
                self.set_step(Step::Cutting { sync });
            }
        }
    }

    /// Submits a command with its CMD_SYNC, that many times, apart from whatever is open; gives the position of the last
    /// CMD_SYNC. Without room, what is written goes to the SMMU, so that there will be room.
    fn submit_step(&mut self, command: Command, times: u64) -> Option<u64> {
        let entries = self.needed_to_submit(1 + 2 * times);
        if !self.has_room(entries) {
            self.ring_doorbell();
            return None;
        }
        self.close_run();
        for _ in 0..times {
            self.put(command);
            self.put_sync(Command::sync());
        }
        self.ring_doorbell();
        Some(self.state.ring.written() - 1)
    }
}
