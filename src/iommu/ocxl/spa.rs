//! The Scheduled Process Area: one process element for each PASID, which the link reads as it needs them.
//!
//! A device whose element is not valid is a checkstop of the machine, so an element goes only when its device has ended its accesses.

use super::ids::Pasid;
use super::process_element::{BYTES, ProcessElement, SOFTWARE_STATE, VALID, WORDS};
use crate::dma::{DmaBarriers, DmaRegion};
use crate::iommu::memory::{MemoryError, Table};

/// `opal_npu_spa_setup` takes no address that is not a multiple of this.
const ALIGN: u64 = 0x1000;
/// As many elements as PASIDs have numbers.
const MOST_BYTES: usize = BYTES << 15;
/// No limit is known of the address that the link can read from.
const PHYSICAL_BITS: u8 = 64;

/// The elements, in memory that the link reads.
#[derive(Debug)]
pub(super) struct Spa {
    table: Table,
    pasids: u32,
}

impl Spa {
    /// An area with no element valid, for as many PASIDs as fit.
    pub(super) fn new(region: DmaRegion) -> Result<Self, MemoryError> {
        let bytes = region.len().min(MOST_BYTES) / BYTES * BYTES;
        let table = Table::new(region, bytes, ALIGN, PHYSICAL_BITS)?;
        let pasids = (bytes / BYTES) as u32;
        Ok(Self { table, pasids })
    }

    pub(super) fn phys(&self) -> u64 {
        self.table.phys()
    }

    pub(super) const fn pasids(&self) -> u32 {
        self.pasids
    }

    /// Makes an element valid: its software state after all else, and both before whatever follows. The element is not valid.
    pub(super) fn install(
        &self,
        pasid: Pasid,
        element: &ProcessElement,
        barriers: &impl DmaBarriers,
    ) {
        for (word, value) in element.words().iter().enumerate() {
            if word != SOFTWARE_STATE {
                self.store(pasid, word, *value);
            }
        }
        barriers.publish_tables();
        self.store(pasid, SOFTWARE_STATE, VALID);
        barriers.publish_tables();
    }

    /// Empties an element whose device has ended its accesses: its software state first.
    pub(super) fn clear(&self, pasid: Pasid, barriers: &impl DmaBarriers) {
        self.store(pasid, SOFTWARE_STATE, 0);
        barriers.publish_tables();
        for word in 0..WORDS {
            self.store(pasid, word, 0);
        }
        barriers.publish_tables();
    }

    /// `Table` stores little-endian words.
    fn store(&self, pasid: Pasid, word: usize, value: u64) {
        let at = pasid.raw() as usize * WORDS + word;
        self.table.store(at, value.swap_bytes());
    }
}
