//! The event log: faults, refused commands and silent devices as the IOMMU records them (AMD 48882 2.5).
//!
//! Sources: Linux `iommu_print_event`, checked against VirtualBox `EVT_*_T`.

use super::ids::{DeviceId, DomainId, Pasid};
use super::registers;
use crate::address::VirtAddr;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::memory::Table;

/// Words of one record.
const WORDS: usize = 2;
/// How often a record that was announced may be found unwritten before it counts as lost.
const MOST_BLANKS: u32 = 10_000;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Event([u64; WORDS]);

impl Event {
    /// ILLEGAL_DEV_TABLE_ENTRY.
    pub const ILLEGAL_DEVICE_ENTRY: u8 = 1;
    /// IO_PAGE_FAULT.
    pub const PAGE_FAULT: u8 = 2;
    /// ILLEGAL_COMMAND_ERROR.
    pub const ILLEGAL_COMMAND: u8 = 5;
    /// COMMAND_HARDWARE_ERROR.
    pub const COMMAND_HARDWARE: u8 = 6;
    /// IOTLB_INV_TIMEOUT.
    pub const DEVICE_TIMEOUT: u8 = 7;

    /// A record of these words.
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }

    /// What happened: bits 63:60 of the first word.
    pub const fn kind(&self) -> u8 {
        (self.0[0] >> 60) as u8
    }

    /// The device, where one is concerned.
    pub const fn device(&self) -> DeviceId {
        DeviceId(self.0[0] as u16)
    }

    /// The PASID of the access. For page faults; `None` for an access without one.
    pub const fn pasid(&self) -> Option<Pasid> {
        if self.0[0] >> 48 & 1 == 0 {
            return None;
        }
        let high = self.0[0] >> 16 & 0xf;
        Pasid::new((high << 16 | self.0[0] >> 32 & 0xffff) as u32)
    }

    /// The domain of the access. For page faults without a PASID.
    pub const fn domain(&self) -> Option<DomainId> {
        if self.0[0] >> 48 & 1 != 0 {
            return None;
        }
        Some(DomainId((self.0[0] >> 32) as u16))
    }

    /// Whether the access was a write. For page faults.
    pub const fn is_write(&self) -> bool {
        self.0[0] >> 53 & 1 != 0
    }

    /// The address of the access. For page faults.
    pub const fn address(&self) -> VirtAddr {
        VirtAddr::new(self.0[1])
    }

    /// The whole record.
    pub const fn words(&self) -> [u64; WORDS] {
        self.0
    }
}

/// How far a look at the log has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Everything recorded.
    All,
    /// Everything before a record that is announced and not written yet.
    NotYet,
    /// Everything but a record that was announced and never written.
    Lost,
}

/// The consumer's side of the log: the driver looks at each record first, then the kernel takes it.
#[derive(Debug)]
pub(super) struct EventLog {
    table: Table,
    log2_entries: u8,
    /// The slot of the next record that the kernel takes.
    taken: usize,
    /// The slot of the next record that the driver looks at.
    seen: usize,
    /// How often that one was found unwritten.
    blanks: u32,
}

impl EventLog {
    pub(super) fn new(table: Table, log2_entries: u8) -> Self {
        Self {
            table,
            log2_entries,
            taken: 0,
            seen: 0,
            blanks: 0,
        }
    }

    /// Puts an empty log before the IOMMU, which must not be writing events.
    pub(super) fn program(&mut self, registers: &impl Mmio) {
        for slot in 0..=self.last() {
            self.erase(slot);
        }
        (self.taken, self.seen, self.blanks) = (0, 0, 0);
        registers.write64(
            registers::EVENT_BASE,
            self.table.phys() | u64::from(self.log2_entries) << registers::LENGTH_SHIFT,
        );
        registers.write32(registers::EVENT_HEAD, 0);
        registers.write32(registers::EVENT_TAIL, 0);
    }

    /// Looks at the next record that nobody has looked at.
    ///
    /// The tail may move before the record is written (erratum 732), so a record without a kind is not there yet.
    pub(super) fn look(
        &mut self,
        registers: &impl Mmio,
        barriers: &impl DmaBarriers,
    ) -> Result<Event, Seen> {
        if self.seen == self.slot_of(registers.read32(registers::EVENT_TAIL)) {
            return Err(Seen::All);
        }
        if self.record(self.seen).kind() == 0 {
            self.blanks += 1;
            if self.blanks < MOST_BLANKS {
                return Err(Seen::NotYet);
            }
            self.advance();
            return Err(Seen::Lost);
        }
        barriers.after_completion();
        let event = self.record(self.seen);
        self.advance();
        Ok(event)
    }

    fn advance(&mut self) {
        self.blanks = 0;
        self.seen = (self.seen + 1) & self.last();
    }

    /// Takes the oldest record that was looked at, and gives its place back.
    pub(super) fn take(&mut self, registers: &impl Mmio) -> Option<Event> {
        while self.taken != self.seen {
            let event = self.record(self.taken);
            self.erase(self.taken);
            self.taken = (self.taken + 1) & self.last();
            self.give_back(registers);
            if event.kind() != 0 {
                return Some(event);
            }
        }
        None
    }

    /// Drops what was looked at and not taken, so that there is room; gives its number.
    pub(super) fn drop_seen(&mut self, registers: &impl Mmio) -> u32 {
        let mut dropped = 0;
        while self.take(registers).is_some() {
            dropped += 1;
        }
        dropped
    }

    fn give_back(&self, registers: &impl Mmio) {
        let head = (self.taken << registers::ENTRY_SHIFT) as u32;
        registers.write32(registers::EVENT_HEAD, head);
    }

    fn last(&self) -> usize {
        (1 << self.log2_entries) - 1
    }

    fn slot_of(&self, pointer: u32) -> usize {
        (u64::from(pointer) & registers::POINTER_MASK) as usize >> registers::ENTRY_SHIFT
            & self.last()
    }

    fn record(&self, slot: usize) -> Event {
        Event(core::array::from_fn(|word| {
            self.table.load(slot * WORDS + word)
        }))
    }

    /// A place without a kind is what shows that a later record is not written yet.
    fn erase(&self, slot: usize) {
        for word in 0..WORDS {
            self.table.store(slot * WORDS + word, 0);
        }
    }
}

#[cfg(test)]
mod tests;
