//! Writing descriptors, ringing the doorbell, and seeing what has been completed.
//!
//! A wait descriptor writes the position behind it, modulo 2^32, into the word of its own slot: once seen, everything before that
//! position is complete, for whoever looks and however late. The word is set back before the slot is used again, so that a value of an
//! earlier lap is never taken for a new one, and no two waits share a word that a late write could turn back.
//!
//! Nothing here waits. Everything runs under the ring lock and takes a bounded number of accesses.

use super::command::{Command, WaitOptions};
use super::registers;
use super::state::Locked;
use crate::address::PhysAddr;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::SecondaryError;

/// A wait that also holds back what follows it.
pub(super) const FENCE: WaitOptions = WaitOptions {
    fence: true,
    drain_page_requests: false,
};

/// A wait that only signals.
pub(super) const PLAIN: WaitOptions = WaitOptions {
    fence: false,
    drain_page_requests: false,
};

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Entries that a seal takes with that many device invalidations.
    fn seal_of(&self, device_flushes: u64) -> u64 {
        let between = self.hw.config.wait_before_device_tlbs && device_flushes > 0;
        device_flushes + u64::from(between) + 1
    }

    /// Entries that a submission takes in an otherwise empty ring, its seal included.
    pub(super) fn whole_submission(&self, commands: u64, device_flushes: u64) -> u64 {
        commands + self.seal_of(device_flushes)
    }

    /// Entries needed for these commands and device invalidations and for the seal of everything open.
    pub(super) fn needed_to_queue(&self, commands: u64, device_flushes: u64) -> u64 {
        commands + self.seal_of(self.state.pending.len() + device_flushes)
    }

    /// Entries needed for descriptors that are submitted at once, and for the seal of what is open beside them.
    pub(super) fn needed_to_submit(&self, entries: u64) -> u64 {
        match self.state.pending.len() {
            // Their wait is that seal's as well.
            0 => entries,
            pending => entries + self.seal_of(pending),
        }
    }

    /// Whether anything waits for a seal. No device invalidation is remembered where nothing does.
    pub(super) fn is_open(&self) -> bool {
        self.state.open_from.is_some()
    }

    /// Whether that many entries are free, if need be after a look at the unit.
    pub(super) fn has_room(&mut self, entries: u64) -> bool {
        if self.state.ring.free() >= entries {
            return true;
        }
        self.refresh_outstanding();
        if self.state.recovery.is_some() {
            // Aborted waits never write their word. What was fetched is not read again.
            self.refresh_head();
        }
        self.state.ring.free() >= entries
    }

    /// Writes a descriptor other than a wait; the caller has made sure of the room.
    pub(super) fn put(&mut self, command: Command) {
        self.write(command);
        self.cost.commands += 1;
    }

    /// Writes a wait descriptor that signals in its slot's word.
    pub(super) fn put_wait(&mut self, options: WaitOptions) {
        let position = self.state.ring.written();
        let slot = self.state.ring.slot(position) as usize;
        self.state.status.store(slot, self.state.completed);
        let command = self.wait_at(position, options);
        self.write(command);
        self.cost.syncs += 1;
        self.state.waited = self.state.ring.written();
    }

    /// The wait descriptor for a position.
    pub(super) fn wait_at(&self, position: u64, options: WaitOptions) -> Command {
        let word = self.state.status.phys() + 8 * self.state.ring.slot(position);
        // The words are 8-byte aligned, so that there is always such a descriptor; a bare fence would signal nothing.
        Command::wait_status(PhysAddr::new(word), (position + 1) as u32, options)
            .unwrap_or(Command::wait_fence())
    }

    fn write(&mut self, command: Command) {
        match self.state.ring.push() {
            Some(position) => self.overwrite(position, command),
            // Every caller has counted its entries. If one has not, nothing may pass for complete any more.
            None => self.state.stopped = Some(SecondaryError::QueueStopped),
        }
    }

    /// Replaces the entry at a position that the unit does not read at the moment.
    pub(super) fn overwrite(&mut self, position: u64, command: Command) {
        let width = self.hw.config.mode.entry_words();
        let at = width * self.state.ring.slot(position) as usize;
        for (offset, word) in command.words().into_iter().take(width).enumerate() {
            self.state.entries.store(at + offset, word);
        }
    }

    /// The entry at a position, as far as it has not been written over.
    pub(super) fn entry(&self, position: u64) -> Command {
        let width = self.hw.config.mode.entry_words();
        let at = width * self.state.ring.slot(position) as usize;
        let mut words = [0; 4];
        for (offset, word) in words.iter_mut().take(width).enumerate() {
            *word = self.state.entries.load(at + offset);
        }
        Command::from_words(words)
    }

    /// Orders written entries before the doorbell or restart that follows. The unit snoops its queue, whatever ECAP.C says of its
    /// tables.
    pub(super) fn order_entries(&mut self) {
        self.hw.barriers.before_doorbell();
        self.cost.queue_barriers += 1;
    }

    /// Hands everything written to the unit: one barrier, one doorbell. Nothing where nothing is new. With a write buffer, begins to
    /// flush that instead: the doorbell follows once it is empty.
    pub(super) fn ring_doorbell(&mut self) {
        if self.hw.features.write_buffer && !Defect::WriteBufferNotFlushed.is_put_back() {
            self.flush_write_buffer();
        } else if self.state.ring.publish().is_some() {
            self.ring_published();
        }
    }

    /// Tells the unit how far it may read.
    pub(super) fn ring_published(&mut self) {
        self.order_entries();
        self.write_tail();
        self.cost.doorbells += 1;
    }

    /// Writes IQT: byte offset of the entry behind the last one published.
    pub(super) fn write_tail(&self) {
        let slot = self.state.ring.slot(self.state.ring.published());
        let tail = slot << self.hw.config.mode.entry_shift();
        self.hw.registers.write64(registers::IQT, tail);
    }

    /// Sees whether the newest wait is complete, which is the only look that is needed while all goes well.
    pub(super) fn refresh(&mut self) {
        self.look_at(self.state.waited);
    }

    /// Sees whether the wait before this position is complete.
    pub(super) fn look_at(&mut self, end: u64) {
        let reachable = self.state.completed < end && end <= self.state.ring.published();
        if !reachable {
            return;
        }
        let slot = self.state.ring.slot(end - 1) as usize;
        let low = self.state.status.load(slot);
        let ahead = low.wrapping_sub(self.state.completed) & 0xffff_ffff;
        if ahead == 0 || ahead > self.state.ring.published() - self.state.completed {
            return;
        }
        self.hw.barriers.after_completion();
        self.state.completed += ahead;
        self.state.ring.observe(self.state.completed, 1 << 63);
        if self.state.recovery.is_none() && self.state.completed >= self.state.sealed {
            self.state.unproven = 0;
        }
    }

    /// Sees the latest wait that is complete: bounded by the ring.
    pub(super) fn refresh_outstanding(&mut self) {
        self.refresh();
        let mut end = self.state.ring.published();
        while end > self.state.completed {
            if self.entry(end - 1).kind() == super::command::kind::WAIT {
                self.look_at(end);
            }
            end -= 1;
        }
    }

    /// The position of the next descriptor to be fetched, from IQH. Nothing from a unit that is gone and reads as all ones.
    pub(super) fn head(&self) -> Option<u64> {
        let head = self.hw.registers.read64(registers::IQH);
        if head & !registers::POSITION_MASK != 0 {
            return None;
        }
        // At most one slot less than the ring is outstanding, so that one position alone fits.
        let consumed = self.state.ring.consumed();
        let slot = head >> self.hw.config.mode.entry_shift();
        let ahead = slot.wrapping_sub(consumed) & self.state.ring.usable();
        Some(consumed + ahead)
    }

    fn refresh_head(&mut self) {
        if let Some(position) = self.head() {
            self.state.ring.observe(position, 1 << 63);
        }
    }
}
