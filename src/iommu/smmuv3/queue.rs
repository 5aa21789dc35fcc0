//! Writing commands, ringing the doorbell, and seeing what has been consumed.
//!
//! Nothing here waits. Everything runs under the ring lock and takes a bounded number of accesses.

use super::command::Command;
use super::config::Completion;
use super::registers;
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::SecondaryError;

/// With [`sync_often`](super::features::Features::sync_often), the longest run of commands without a CMD_SYNC.
const LONGEST_RUN: u64 = 63;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Entries that commands take at most, with the CMD_SYNCs that an erratum forces between them: as many as behind the longest run.
    fn run_of(&self, commands: u64) -> u64 {
        if self.hw.features.sync_often {
            commands + commands.div_ceil(LONGEST_RUN)
        } else {
            commands
        }
    }

    /// Entries that a seal takes after `open` commands and with `atcs` device invalidations. Those that it repeats are read from
    /// the ring as they are repeated, and with as many free entries none is written over before.
    fn seal_of(&self, open: u64, atcs: u64) -> u64 {
        let repeat = if self.hw.config.repeat_invalidations {
            open + 1
        } else {
            0
        };
        let devices = if atcs > 0 { self.run_of(atcs) + 1 } else { 0 };
        1 + repeat + devices
    }

    /// Entries that a submission takes in an otherwise empty ring, its seal included.
    pub(super) fn whole_submission(&self, commands: u64, atcs: u64) -> u64 {
        let commands = self.run_of(commands);
        commands + self.seal_of(commands, atcs)
    }

    /// Entries needed for these commands and device invalidations and for the seal of everything open.
    pub(super) fn needed_to_queue(&self, commands: u64, atcs: u64) -> u64 {
        let commands = self.run_of(commands);
        commands + self.seal_of(self.open_len() + commands, self.state.pending.len() + atcs)
    }

    /// Entries needed for commands that are submitted at once, and for the seal of what is open beside them.
    pub(super) fn needed_to_submit(&self, commands: u64) -> u64 {
        let commands = self.run_of(commands);
        if self.is_open() {
            commands + self.seal_of(self.open_len() + commands, self.state.pending.len())
        } else {
            commands
        }
    }

    fn open_len(&self) -> u64 {
        self.state
            .open_from
            .map_or(0, |open| self.state.ring.written() - open)
    }

    /// Whether anything waits for a seal.
    pub(super) fn is_open(&self) -> bool {
        self.state.open_from.is_some() || self.state.pending.len() > 0
    }

    /// Whether that many entries are free, if need be after a look at the consumer.
    pub(super) fn has_room(&mut self, entries: u64) -> bool {
        if self.state.ring.free() < entries {
            self.refresh_from_register();
        }
        self.state.ring.free() >= entries
    }

    /// Writes a command other than CMD_SYNC; the caller has made sure of the room.
    pub(super) fn put(&mut self, command: Command) {
        let run = self.state.ring.written() - self.state.synced;
        if self.hw.features.sync_often && run >= LONGEST_RUN {
            self.put_sync(Command::sync());
        }
        self.write(command);
        self.cost.commands += 1;
    }

    /// Writes a CMD_SYNC.
    pub(super) fn put_sync(&mut self, command: Command) {
        self.write(command);
        self.cost.syncs += 1;
        self.state.synced = self.state.ring.written();
    }

    /// Writes the CMD_SYNC that somebody will wait for, with the signal that was configured.
    pub(super) fn put_last_sync(&mut self) {
        let end = self.state.ring.written() + 1;
        let command = match self.state.completion {
            Completion::Poll => Command::sync(),
            Completion::Sev => Command::sync_sev(),
            Completion::Msi => self
                .state
                .message
                .as_ref()
                .and_then(|word| {
                    Command::sync_msi(crate::address::PhysAddr::new(word.phys()), end as u32)
                })
                .unwrap_or(Command::sync()),
        };
        self.put_sync(command);
    }

    /// Writes a CMD_SYNC where commands follow the last one, so that what comes next starts after they are complete.
    pub(super) fn close_run(&mut self) {
        if self.state.ring.written() > self.state.synced {
            self.put_sync(Command::sync());
        }
    }

    fn write(&mut self, command: Command) {
        match self.state.ring.push() {
            Some(position) => self.overwrite(position, command),
            // Every caller has counted its entries. If one has not, nothing may pass for complete any more.
            None => self.state.stopped = Some(SecondaryError::QueueStopped),
        }
    }

    /// Replaces the entry at a position that the SMMU does not read at the moment.
    pub(super) fn overwrite(&mut self, position: u64, command: Command) {
        let word = 2 * self.state.ring.slot(position) as usize;
        let [w0, w1] = command.words();
        self.state.entries.store(word, w0);
        self.state.entries.store(word + 1, w1);
    }

    /// The entry at a position, as far as it has not been written over.
    pub(super) fn entry(&self, position: u64) -> Command {
        let word = 2 * self.state.ring.slot(position) as usize;
        Command::from_words([
            self.state.entries.load(word),
            self.state.entries.load(word + 1),
        ])
    }

    /// Makes written entries visible to the SMMU: the ring's own barrier, before a doorbell or a restart.
    pub(super) fn publish_entries(&mut self, positions: core::ops::Range<u64>) {
        if !self.hw.features.coherent {
            for position in positions {
                let word = 2 * self.state.ring.slot(position) as usize;
                self.state.entries.clean(&self.hw.barriers, word..word + 2);
            }
        }
        if !Defect::SmmuEntriesUnpublished.is_put_back() {
            self.hw.barriers.before_doorbell();
        }
        self.cost.queue_barriers += 1;
    }

    /// Hands everything written to the SMMU: one barrier, one doorbell. Nothing where nothing is new.
    pub(super) fn ring_doorbell(&mut self) {
        let Some(fresh) = self.state.ring.publish() else {
            return;
        };
        self.publish_entries(fresh);
        let written = self.state.ring.written();
        let producer = if Defect::WrapBitNotToggled.is_put_back() {
            self.state.ring.slot(written) as u32
        } else {
            self.state.ring.wrapped(written) as u32
        };
        self.hw.registers.write32(registers::CMDQ_PROD, producer);
        self.cost.doorbells += 1;
    }

    /// Sees what has been consumed, in the way that was configured.
    pub(super) fn refresh(&mut self) {
        match (&self.state.message, self.state.completion) {
            (Some(word), Completion::Msi) if self.state.recovery.is_none() => {
                let done = word.load(0) & 0xffff_ffff;
                if Defect::SmmuRegisterReadEachLook.is_put_back() {
                    let _ = self.hw.registers.read32(registers::CMDQ_CONS);
                }
                self.state.ring.observe(done, 1 << 32);
                self.after_progress();
            }
            _ => {
                self.refresh_from_register();
            }
        }
    }

    /// Sees what has been consumed from CMDQ_CONS; gives its value.
    pub(super) fn refresh_from_register(&mut self) -> u32 {
        let cons = self.hw.registers.read32(registers::CMDQ_CONS);
        // A device that is gone reads as all ones, and bit 31 of CONS is reserved.
        if cons != u32::MAX {
            self.state
                .ring
                .observe_wrapped(u64::from(cons & registers::INDEX_MASK));
            self.after_progress();
        }
        cons
    }

    fn after_progress(&mut self) {
        if self.state.recovery.is_none() && self.state.ring.consumed() >= self.state.sealed {
            self.state.unproven = 0;
        }
    }
}
