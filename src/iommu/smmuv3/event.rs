//! The event queue: faults and configuration errors as the SMMU records them (IHI 0070 7.2, 7.3).

use super::ids::{StreamId, SubstreamId};
use super::registers;
use crate::address::VirtAddr;
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::memory::Table;

/// Words of one record.
const WORDS: usize = 4;
/// PROD.OVFLG and CONS.OVACKFLG: records were lost, and that has been seen.
const OVERFLOW: u32 = 1 << 31;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Event([u64; WORDS]);

impl Event {
    /// F_TRANSLATION.
    pub const TRANSLATION: u8 = 0x10;
    /// F_ACCESS: the access flag is clear.
    pub const ACCESS: u8 = 0x12;
    /// F_PERMISSION.
    pub const PERMISSION: u8 = 0x13;

    /// What happened: bits 7:0.
    pub const fn kind(&self) -> u8 {
        self.0[0] as u8
    }

    /// The device.
    pub const fn stream(&self) -> StreamId {
        StreamId((self.0[0] >> 32) as u32)
    }

    /// The device's substream, where the access had one.
    pub const fn substream(&self) -> Option<SubstreamId> {
        if self.0[0] >> 11 & 1 == 0 {
            return None;
        }
        SubstreamId::new((self.0[0] >> 12 & 0xf_ffff) as u32)
    }

    /// Whether the access was a read. For translation, access-flag and permission faults.
    pub const fn is_read(&self) -> bool {
        self.0[1] >> 35 & 1 != 0
    }

    /// The address of the access. For translation, access-flag and permission faults.
    pub const fn address(&self) -> VirtAddr {
        VirtAddr::new(self.0[2])
    }

    /// The whole record.
    pub const fn words(&self) -> [u64; WORDS] {
        self.0
    }
}

/// The consumer's side of the queue.
#[derive(Debug)]
pub(super) struct EventQueue {
    table: Table,
    log2_entries: u8,
    /// Index and wrap bit of the next record.
    next: u32,
}

impl EventQueue {
    pub(super) fn new(table: Table, log2_entries: u8) -> Self {
        Self {
            table,
            log2_entries,
            next: 0,
        }
    }

    /// Puts an empty queue before the SMMU, which must not be writing events.
    pub(super) fn program(&mut self, registers: &impl Mmio) {
        self.next = 0;
        registers.write64(
            registers::EVENTQ_BASE,
            self.table.phys() | u64::from(self.log2_entries),
        );
        registers.write32(registers::EVENTQ_PROD, 0);
        registers.write32(registers::EVENTQ_CONS, 0);
    }

    /// The oldest record, where there is one; its place is given back.
    pub(super) fn next(
        &mut self,
        registers: &impl Mmio,
        barriers: &impl DmaBarriers,
    ) -> Option<Event> {
        let both = (2u32 << self.log2_entries) - 1;
        let produced = registers.read32(registers::EVENTQ_PROD);
        if (produced ^ self.next) & both == 0 {
            return None;
        }
        barriers.after_completion();
        let slot = (self.next & (both >> 1)) as usize;
        let words = core::array::from_fn(|word| self.table.load(slot * WORDS + word));
        self.next = self.next.wrapping_add(1) & both;
        registers.write32(registers::EVENTQ_CONS, self.next | produced & OVERFLOW);
        Some(Event(words))
    }
}

#[cfg(test)]
mod tests;
