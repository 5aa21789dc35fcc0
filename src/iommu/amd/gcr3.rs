//! A device's GCR3 table: the root of a process table for each PASID (AMD 48882 2.2.6).
//!
//! One to three levels of 512 words in one region: the root page, then the pages of each further level in the order of the PASIDs that
//! they stand for. All levels but the last are filled in once, so that an address space comes and goes by a single store.
//!
//! Sources: Linux `__get_gcr3_pte` and `GCR3_VALID`; FreeBSD and OpenBSD use no PASIDs, and QEMU walks no GCR3 table.

use super::ids::Pasid;
use crate::address::PhysAddr;
use crate::dma::DmaBarriers;
use crate::dma::DmaRegion;
use crate::iommu::memory::{MemoryError, Table};

/// An entry is valid.
const VALID: u64 = 1 << 0;
/// PASID bits that one level resolves.
const LEVEL_BITS: u32 = 9;
/// Words of one page.
const WORDS: usize = 512;

/// The table of one device.
#[derive(Debug)]
pub(super) struct Gcr3Table {
    table: Table,
    pasid_bits: u8,
}

/// Levels that so many bits of PASID take.
pub(super) const fn levels(pasid_bits: u8) -> u8 {
    if pasid_bits <= 9 {
        1
    } else {
        (pasid_bits as u32).div_ceil(LEVEL_BITS) as u8
    }
}

/// Pages of the level at this distance from the leaves.
const fn pages_at(pasid_bits: u8, height: u32) -> usize {
    1 << (pasid_bits as u32).saturating_sub(LEVEL_BITS * (height + 1))
}

/// Bytes of a table for so many bits of PASID.
pub(super) const fn len(pasid_bits: u8) -> usize {
    let mut pages = 0;
    let mut height = 0;
    while height < levels(pasid_bits) as u32 {
        pages += pages_at(pasid_bits, height);
        height += 1;
    }
    4096 * pages
}

impl Gcr3Table {
    /// An empty table in a region.
    pub(super) fn new(
        region: DmaRegion,
        pasid_bits: u8,
        output_bits: u8,
    ) -> Result<Self, MemoryError> {
        let table = Table::new(region, len(pasid_bits), 4096, output_bits)?;
        let new = Self { table, pasid_bits };
        new.link();
        Ok(new)
    }

    /// Fills in the levels above the leaves.
    fn link(&self) {
        let mut parents = 0;
        for height in (1..u32::from(levels(self.pasid_bits))).rev() {
            let children = parents + pages_at(self.pasid_bits, height);
            for child in 0..pages_at(self.pasid_bits, height - 1) {
                let phys = self.phys() + 4096 * (children + child) as u64;
                self.table.store(parents * WORDS + child, phys | VALID);
            }
            parents = children;
        }
    }

    pub(super) fn phys(&self) -> u64 {
        self.table.phys()
    }

    pub(super) const fn levels(&self) -> u8 {
        levels(self.pasid_bits)
    }

    pub(super) fn into_region(self) -> DmaRegion {
        self.table.into_region()
    }

    pub(super) const fn contains(&self, pasid: Pasid) -> bool {
        pasid.raw() >> self.pasid_bits == 0
    }

    /// Lets a PASID walk a process table.
    pub(super) fn install(&self, pasid: Pasid, root: PhysAddr, barriers: &impl DmaBarriers) {
        self.store(pasid, root.raw() | VALID, barriers);
    }

    /// Lets a PASID walk nothing.
    pub(super) fn clear(&self, pasid: Pasid, barriers: &impl DmaBarriers) {
        self.store(pasid, 0, barriers);
    }

    fn store(&self, pasid: Pasid, entry: u64, barriers: &impl DmaBarriers) {
        let leaves = len(self.pasid_bits) / 4096 - pages_at(self.pasid_bits, 0);
        self.table
            .store(leaves * WORDS + pasid.raw() as usize, entry);
        barriers.publish_tables();
    }
}

#[cfg(test)]
mod tests;
