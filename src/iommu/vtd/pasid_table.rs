//! A device's PASID table: a directory, and pages of 64 entries of 64 bytes (VT-d 9.5 and 9.6; Linux `pasid_set_*`; QEMU
//! `VTD_SM_PASID_ENTRY_*`).
//!
//! Directory and entries are one run of pages, entry after entry, so that a PASID is an index.

use super::config::{Levels, TranslationConfig};
use super::ids::DomainId;
use crate::dma::{DmaBarriers, DmaRegion};
use crate::iommu::memory::{MemoryError, Table};

/// Words of one entry.
const WORDS: usize = 8;
const PAGE: usize = 0x1000;
/// log2 of the entries in one page.
const PAGE_ENTRIES: u8 = 6;

mod bits {
    /// Of directory entries and of the first word.
    pub(super) const PRESENT: u64 = 1 << 0;
    /// FPD: faults are not recorded.
    pub(super) const QUIET: u64 = 1 << 1;
    // First word.
    /// AW, bits 4:2: 2 for 48 bits, 3 for 57. For second stages; QEMU bounds first-stage addresses by it as well.
    pub(super) const WIDTH_SHIFT: u32 = 2;
    /// PGTT, bits 8:6: first stage alone.
    pub(super) const FIRST_STAGE: u64 = 1 << 6;
    // Second word: the domain in bits 79:64.
    /// PWSNP, bit 87: page walks snoop the CPUs' caches.
    pub(super) const SNOOPED_WALKS: u64 = 1 << 23;
    // Third word: the root in bits 191:140.
    /// FSPM, bits 131:130: five levels.
    pub(super) const FIVE_LEVELS: u64 = 1 << 2;
    /// NXE, bit 133: bit 63 of page-table entries is XD, not reserved.
    pub(super) const NO_EXECUTE: u64 = 1 << 5;
}

/// Bytes of the PASID table of a device with `1 << pasid_bits` PASIDs (at most 20 bits): directory pages, and one page for each 64 PASIDs.
pub const fn pasid_table_bytes(pasid_bits: u8) -> usize {
    (directory_pages(pasid_bits) + entry_pages(pasid_bits)) * PAGE
}

const fn entry_pages(pasid_bits: u8) -> usize {
    1 << pasid_bits.saturating_sub(PAGE_ENTRIES)
}

/// 512 directory entries of 8 bytes to a page.
const fn directory_pages(pasid_bits: u8) -> usize {
    entry_pages(pasid_bits).div_ceil(PAGE / 8)
}

/// The words of an entry that are not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PasidEntry {
    control: u64,
    domain: u64,
    root: u64,
}

impl PasidEntry {
    /// A CPU's page table, walked as the CPU walks it for user accesses. The values have been checked.
    pub(super) const fn new(
        translation: &TranslationConfig,
        domain: DomainId,
        snooped: bool,
    ) -> Self {
        let (width, levels) = match translation.levels {
            Levels::Three | Levels::Four => (2, 0),
            Levels::Five => (3, bits::FIVE_LEVELS),
        };
        let snooped = if snooped { bits::SNOOPED_WALKS } else { 0 };
        Self {
            control: bits::PRESENT | width << bits::WIDTH_SHIFT | bits::FIRST_STAGE,
            domain: domain.0 as u64 | snooped,
            root: translation.root.raw() | levels | bits::NO_EXECUTE,
        }
    }
}

/// The PASID table of one device.
#[derive(Debug)]
pub(super) struct PasidTable {
    table: Table,
    /// The word at which entry 0 stands.
    entries: usize,
}

impl PasidTable {
    /// Builds the table for so many PASIDs, with no entry present.
    pub(super) fn new(
        region: DmaRegion,
        pasid_bits: u8,
        output_bits: u8,
    ) -> Result<Self, MemoryError> {
        let bytes = pasid_table_bytes(pasid_bits);
        let table = Table::new(region, bytes, PAGE as u64, output_bits)?;
        let directory = directory_pages(pasid_bits);
        for page in 0..entry_pages(pasid_bits) {
            let phys = table.phys() + ((directory + page) * PAGE) as u64;
            table.store(page, phys | bits::PRESENT);
        }
        Ok(Self {
            table,
            entries: directory * PAGE / 8,
        })
    }

    pub(super) fn phys(&self) -> u64 {
        self.table.phys()
    }

    pub(super) fn into_region(self) -> DmaRegion {
        self.table.into_region()
    }

    /// Writes the whole table back from the CPU's caches.
    pub(super) fn clean(&self, barriers: &impl DmaBarriers) {
        self.table.clean(barriers, 0..usize::MAX);
    }

    /// Makes an entry present: its first word last.
    pub(super) fn install(
        &self,
        index: u32,
        entry: &PasidEntry,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) {
        let at = self.at(index);
        self.table.store(at + 1, entry.domain);
        self.table.store(at + 2, entry.root);
        self.publish(at, barriers, coherent);
        self.set_control(at, entry.control, barriers, coherent);
    }

    /// Ends all walks: clears P and keeps the rest, which the unit may still have to read to find what the invalidations name. Faults
    /// of a device that has not stopped are not recorded. Idempotent; nothing for an entry that is not present.
    pub(super) fn silence(&self, index: u32, barriers: &impl DmaBarriers, coherent: bool) {
        let at = self.at(index);
        let control = self.table.load(at);
        if control & bits::PRESENT != 0 {
            let control = (control & !bits::PRESENT) | bits::QUIET;
            self.set_control(at, control, barriers, coherent);
        }
    }

    /// Empties an entry that is not present and that nothing is cached from. Only FPD stays, as after [`Self::silence`].
    pub(super) fn clear(&self, index: u32, barriers: &impl DmaBarriers, coherent: bool) {
        let at = self.at(index);
        self.table.store(at, bits::QUIET);
        self.table.store(at + 1, 0);
        self.table.store(at + 2, 0);
        self.publish(at, barriers, coherent);
    }

    fn at(&self, index: u32) -> usize {
        self.entries + index as usize * WORDS
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
