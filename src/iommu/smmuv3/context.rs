//! Context descriptors, 64 bytes each, in a linear table for each stream (IHI 0070 3.3.2, 5.4; Linux `CTXDESC_CD_*`; QEMU `CD_*`).

use super::config::{TableUpdates, TranslationConfig};
use super::ids::{Asid, Granule};
use crate::dma::DmaBarriers;
use crate::iommu::memory::Table;

/// Words of one descriptor.
const WORDS: usize = 8;

mod bits {
    // Word 0.
    pub(super) const TG0_SHIFT: u32 = 6;
    pub(super) const IR0_SHIFT: u32 = 8;
    pub(super) const OR0_SHIFT: u32 = 10;
    pub(super) const SH0_SHIFT: u32 = 12;
    /// Walks through TTB0 are disabled.
    pub(super) const EPD0: u64 = 1 << 14;
    pub(super) const EPD1: u64 = 1 << 30;
    pub(super) const VALID: u64 = 1 << 31;
    pub(super) const IPS_SHIFT: u32 = 32;
    pub(super) const AA64: u64 = 1 << 41;
    pub(super) const HD: u64 = 1 << 42;
    pub(super) const HA: u64 = 1 << 43;
    /// Faults are recorded as events.
    pub(super) const RECORD: u64 = 1 << 45;
    /// Faults abort rather than read as zero.
    pub(super) const ABORT: u64 = 1 << 46;
    /// The ASID is the SMMU's own.
    pub(super) const ASET: u64 = 1 << 47;
    pub(super) const ASID_SHIFT: u32 = 48;
}

/// The words of a descriptor that are not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContextDescriptor {
    control: u64,
    root: u64,
    mair: u64,
}

impl ContextDescriptor {
    /// A CPU's page table, walked as the CPU walks it; TTB1 is off. The values have been checked.
    pub(super) fn new(translation: &TranslationConfig, asid: Asid, shared: bool) -> Self {
        let tg0 = match translation.granule {
            Granule::Kib4 => 0,
            Granule::Kib64 => 1,
            Granule::Kib16 => 2,
        };
        let updates = match translation.updates {
            TableUpdates::Software => 0,
            TableUpdates::AccessFlag => bits::HA,
            TableUpdates::AccessFlagAndDirty => bits::HA | bits::HD,
        };
        let control = u64::from(translation.t0sz)
            | tg0 << bits::TG0_SHIFT
            | (translation.inner as u64) << bits::IR0_SHIFT
            | (translation.outer as u64) << bits::OR0_SHIFT
            | (translation.shareability as u64) << bits::SH0_SHIFT
            | bits::EPD1
            | bits::VALID
            | u64::from(translation.ips) << bits::IPS_SHIFT
            | bits::AA64
            | updates
            | bits::RECORD
            | bits::ABORT
            | if shared { 0 } else { bits::ASET }
            | u64::from(asid.0) << bits::ASID_SHIFT;
        Self {
            control,
            root: translation.root.raw(),
            mair: translation.mair,
        }
    }
}

/// The contexts of one stream, indexed by substream number.
#[derive(Debug)]
pub(super) struct ContextTable {
    table: Table,
}

impl ContextTable {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    pub(super) fn phys(&self) -> u64 {
        self.table.phys()
    }

    pub(super) fn into_region(self) -> crate::dma::DmaRegion {
        self.table.into_region()
    }

    /// Writes the whole table back from the CPU's caches.
    pub(super) fn clean(&self, barriers: &impl DmaBarriers) {
        self.table.clean(barriers, 0..usize::MAX);
    }

    /// Makes a descriptor valid: its first word last.
    pub(super) fn install(
        &self,
        index: u32,
        descriptor: &ContextDescriptor,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) {
        let at = index as usize * WORDS;
        self.table.store(at + 1, descriptor.root);
        self.table.store(at + 3, descriptor.mair);
        self.publish(at, barriers, coherent);
        self.set_control(at, descriptor.control, barriers, coherent);
    }

    /// Ends all walks and keeps the descriptor valid, so that the device's accesses abort quietly instead of being reported
    /// as a broken configuration: EPD0 set, faults no longer recorded. Idempotent; nothing for an invalid descriptor.
    pub(super) fn silence(&self, index: u32, barriers: &impl DmaBarriers, coherent: bool) {
        let at = index as usize * WORDS;
        let control = self.table.load(at);
        if control & bits::VALID != 0 {
            let control = (control | bits::EPD0) & !bits::RECORD;
            self.set_control(at, control, barriers, coherent);
        }
    }

    /// Makes a descriptor invalid. Idempotent.
    pub(super) fn clear(&self, index: u32, barriers: &impl DmaBarriers, coherent: bool) {
        self.set_control(index as usize * WORDS, 0, barriers, coherent);
    }

    fn set_control(&self, at: usize, control: u64, barriers: &impl DmaBarriers, coherent: bool) {
        self.table.store(at, control);
        self.publish(at, barriers, coherent);
    }

    fn publish(&self, at: usize, barriers: &impl DmaBarriers, coherent: bool) {
        if !coherent {
            self.table.clean(barriers, at..at + WORDS);
        }
        barriers.publish_tables();
    }
}

#[cfg(test)]
mod tests;
