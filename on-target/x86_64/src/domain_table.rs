//! A table in the AMD IOMMU's own format (AMD 48882, 2.2.3), which repeats a process's mappings: QEMU's walks no other.

use core::sync::atomic::{AtomicU64, Ordering};

use tlb_shootdown_scenarios::Directory;

use crate::entry::{ENTRIES, index};
use crate::layout::phys_of;
use crate::memory;
use crate::process::BASE;

/// Levels of the table: 39 bits of address.
pub(crate) const LEVELS: u8 = 3;

/// PR.
const PRESENT: u64 = 1 << 0;
/// NextLevel, 0 in the entry of a page, whose size is then that of its level.
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
        for level in [3, 2] {
            self.link(level, self.next(level));
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
        let value = entry.map_or(0, |(phys, writable)| page_entry(phys, writable));
        self.0[2][page].store(value, Ordering::Relaxed);
    }

    /// Stores the entry above the last-level table.
    pub(crate) fn set_directory(&self, to: Directory) {
        let value = match to {
            Directory::Empty => 0,
            Directory::Table => self.next(2),
            Directory::LargePage => page_entry(memory::phys(0), true),
        };
        self.link(2, value);
    }

    /// The entry in the table of `level` that leads to the next.
    fn next(&self, level: u32) -> u64 {
        let below = phys_of(&raw const self.0[place(level - 1)]);
        below | PRESENT | READABLE | WRITABLE | u64::from(level - 1) << NEXT_LEVEL
    }

    fn link(&self, level: u32, entry: u64) {
        self.0[place(level)][index(BASE, level)].store(entry, Ordering::Relaxed);
    }
}

/// The entry of a page.
const fn page_entry(phys: u64, writable: bool) -> u64 {
    let right = if writable { WRITABLE } else { 0 };
    phys | PRESENT | READABLE | right | COHERENT
}

/// Where the table of a level (3 to 1) stands among the three.
const fn place(level: u32) -> usize {
    (LEVELS as u32 - level) as usize
}
