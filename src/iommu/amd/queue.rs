//! Writing commands, ringing the doorbell, and seeing what is complete.
//!
//! Nothing here waits. Everything runs under the ring lock and takes a bounded number of accesses.
//!
//! A place in the buffer is free again when a COMPLETION_WAIT behind it has stored: then the commands of a halt are still there to be
//! looked at, and the head register, which says no more than what was fetched, is read after a halt alone.

use super::command::Command;
use super::registers;
use super::state::Locked;
use crate::address::PhysAddr;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::SecondaryError;

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Entries that the seal of what is open and the second stages will take.
    fn set_aside(&self) -> u64 {
        u64::from(self.is_open()) + self.state.deferred.room()
    }

    /// Most commands of a second stage at one time: half the buffer, so that room is left to ask a silent device again.
    pub(super) fn most_deferred(&self) -> u64 {
        (P as u64).min(self.state.ring.usable() / 2)
    }

    /// Whether a submission of that size fits into an otherwise empty buffer. None that asks no device is so large: no more contexts are
    /// attached than all of them can ask theirs at once.
    pub(super) fn ever_fits(&self, commands: u64, deferred: u64) -> bool {
        deferred <= self.most_deferred() && commands + 1 + deferred + 2 <= self.state.ring.usable()
    }

    /// Whether commands can be queued now, with their second stage and the seals of both. `changes` counts second-stage commands that
    /// need a wait of their own before the next.
    pub(super) fn can_queue(&mut self, commands: u64, deferred: u64, changes: u64) -> bool {
        if self.state.deferred.len() + deferred > self.most_deferred() {
            return false;
        }
        let second = if deferred > 0 {
            // One wait more where these are of another kind than the last.
            self.state.deferred.room() + deferred + changes + 2
        } else {
            self.state.deferred.room()
        };
        self.free_after_look(commands + 1 + second)
    }

    /// Whether so many entries can be submitted at once, beside what is set aside for others.
    pub(super) fn can_submit(&mut self, entries: u64) -> bool {
        let needed = entries + self.set_aside();
        self.free_after_look(needed)
    }

    fn free_after_look(&mut self, entries: u64) -> bool {
        if self.state.ring.free() < entries {
            self.refresh();
        }
        self.state.ring.free() >= entries
    }

    /// Whether anything waits for a seal.
    pub(super) fn is_open(&self) -> bool {
        self.state.open_from.is_some()
    }

    /// Marks that commands from here on wait for a seal.
    pub(super) fn open(&mut self) {
        self.state
            .open_from
            .get_or_insert(self.state.ring.written());
    }

    /// Writes a command other than COMPLETION_WAIT; the caller has made sure of the room.
    pub(super) fn put(&mut self, command: Command) {
        self.write(command);
        self.cost.commands += 1;
    }

    /// Writes a COMPLETION_WAIT that stores the position behind it; gives that position.
    pub(super) fn put_wait(&mut self) -> u64 {
        let end = self.state.ring.written() + 1;
        let place = PhysAddr::new(self.state.completion.phys());
        match Command::wait_store(place, end) {
            Some(wait) => self.write(wait),
            None => self.state.stopped = Some(SecondaryError::QueueStopped),
        }
        self.cost.syncs += 1;
        end
    }

    fn write(&mut self, command: Command) {
        match self.state.ring.push() {
            Some(position) => self.overwrite(position, command),
            // Every caller has counted its entries. If one has not, nothing may pass for complete any more.
            None => self.state.stopped = Some(SecondaryError::QueueStopped),
        }
    }

    /// Replaces the entry at a position that the IOMMU does not read at the moment.
    pub(super) fn overwrite(&mut self, position: u64, command: Command) {
        let word = 2 * self.state.ring.slot(position) as usize;
        let [w0, w1] = command.words();
        // PASID\[19:16\] of commands for a device's TLB; of others these bits are zero.
        let w0 = Defect::PasidCutTo16Bits.clears(0xf << 56, w0);
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

    /// Makes written entries visible to the IOMMU, before a doorbell or a restart.
    pub(super) fn publish_entries(&mut self) {
        if !Defect::AmdDoorbellUnordered.is_put_back() {
            self.hw.barriers.before_doorbell();
        }
        self.cost.queue_barriers += 1;
    }

    /// Hands everything written to the IOMMU: one barrier, one doorbell. Nothing where nothing is new.
    pub(super) fn ring_doorbell(&mut self) {
        if self.state.ring.publish().is_none() {
            return;
        }
        self.publish_entries();
        let tail = self.pointer(self.state.ring.published());
        self.hw.registers.write32(registers::COMMAND_TAIL, tail);
        self.cost.doorbells += 1;
    }

    /// A position as the head and tail registers hold it: a byte offset.
    pub(super) fn pointer(&self, position: u64) -> u32 {
        (self.state.ring.slot(position) << registers::ENTRY_SHIFT) as u32
    }

    /// Sees what is complete: the position that was stored last.
    ///
    /// Positions are 64 bits wide and only grow; one that lies behind what is known, or beyond what was handed over, changes nothing. Nor
    /// does one that may have been stored before a restart: the entries before it are being read again, and must not be written over.
    pub(super) fn refresh(&mut self) {
        let stored = self.state.completion.load(0);
        if Defect::AmdRegisterReadEachLook.is_put_back() {
            let _ = self.hw.registers.read32(registers::COMMAND_HEAD);
        }
        if stored > self.state.replaying {
            self.state.ring.observe(stored, 1 << 63);
        }
        let first_stage = self.state.ring.consumed() >= self.state.sealed;
        if first_stage && self.state.batch.is_none() && self.state.deferred.len() == 0 {
            self.state.unproven = 0;
        }
    }
}
