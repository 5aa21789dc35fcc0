//! A table in the AMD IOMMU's own format (AMD 48882, 2.2.3), which repeats a process's mappings: QEMU's walks no other.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::entry::{ENTRIES, index};
use crate::layout::phys_of;
use crate::process::BASE;

/// Levels of the table: 39 bits of address.
pub(crate) const LEVELS: u8 = 3;

/// PR.
const PRESENT: u64 = 1 << 0;
/// NextLevel, 0 in a last-level entry.
const NEXT_LEVEL: u32 = 9;
/// FC: snoops caches.
const COHERENT: u64 = 1 << 60;
/// IR.
const READABLE: u64 = 1 << 61;
/// IW.
const WRITABLE: u64 = 1 << 62;

/// One table, for the pages of a process.
#[repr(C, align(4096))]
pub(crate) struct DomainTable([[AtomicU64; ENTRIES]; LEVELS as usize]);

impl DomainTable {
    /// A table that maps nothing; usable once [`DomainTable::clear`] has linked its levels.
    pub(crate) const fn new() -> Self {
        Self([const { [const { AtomicU64::new(0) }; ENTRIES] }; LEVELS as usize])
    }

    /// The physical address for a device table entry.
    pub(crate) fn root(&self) -> u64 {
        phys_of(&raw const self.0[0])
    }

    /// Links the levels and unmaps every page. No TLB is told, here and below.
    pub(crate) fn clear(&self) {
        for (above, level) in [(0, 3_u32), (1, 2)] {
            let next = phys_of(&raw const self.0[above + 1]);
            let rights = PRESENT | READABLE | WRITABLE;
            let entry = next | rights | u64::from(level - 1) << NEXT_LEVEL;
            self.0[above][index(BASE, level)].store(entry, Ordering::Relaxed);
        }
        for page in &self.0[2] {
            page.store(0, Ordering::Relaxed);
        }
    }

    /// Stores the entry of page number `page`.
    ///
    /// # Panics
    /// Where `page` is beyond the one last-level table.
    pub(crate) fn set(&self, page: usize, entry: Option<(u64, bool)>) {
        let value = entry.map_or(0, |(phys, writable)| {
            let right = if writable { WRITABLE } else { 0 };
            phys | PRESENT | READABLE | right | COHERENT
        });
        self.0[2][page].store(value, Ordering::Relaxed);
    }
}
