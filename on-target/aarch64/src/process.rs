//! A process's page table: four levels of 4 KiB pages in the lower half, shared with the SMMU.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use tlb_shootdown_scenarios::Directory;

use crate::descriptor::{ENTRIES, Table, index, table, user_block, user_page};
use crate::layout::phys_of;
use crate::memory;

/// Where a process's pages begin.
pub const BASE: u64 = 0x10_0000_0000;
/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;

/// A table that maps nothing: what TTBR0 holds while no process runs.
static EMPTY: Table = Table::EMPTY;

/// One page table, for pages from [`BASE`] on.
pub struct PageTable {
    levels: UnsafeCell<[Table; 4]>,
}

// SAFETY: entries are changed by atomic stores alone.
unsafe impl Sync for PageTable {}

impl Default for PageTable {
    fn default() -> Self {
        Self::new()
    }
}

impl PageTable {
    /// A table that maps nothing; usable once [`PageTable::clear`] has linked its levels.
    pub const fn new() -> Self {
        Self {
            levels: UnsafeCell::new([Table::EMPTY, Table::EMPTY, Table::EMPTY, Table::EMPTY]),
        }
    }

    /// The physical address for TTBR0 and for a context descriptor.
    pub fn root(&self) -> u64 {
        phys_of(self.levels.get())
    }

    /// Links the levels and unmaps every page. No TLB is told.
    pub fn clear(&self) {
        for level in 0..3 {
            self.entry(level, index(BASE, level))
                .store(table(self.address_of(level + 1)), Ordering::Relaxed);
        }
        for page in 0..ENTRIES {
            self.entry(3, page).store(0, Ordering::Relaxed);
        }
    }

    /// Stores the entry of page number `page` and tells no TLB.
    ///
    /// # Panics
    /// Where `page` is beyond the one last-level table.
    pub fn set(&self, page: usize, entry: Option<(u64, bool)>) {
        let value = entry.map_or(0, |(phys, writable)| user_page(phys, writable));
        self.entry(3, page).store(value, Ordering::Relaxed);
    }

    /// Stores the entry above the last-level table and tells no TLB.
    pub fn set_directory(&self, to: Directory) {
        let value = match to {
            Directory::Empty => 0,
            Directory::Table => table(self.address_of(3)),
            Directory::LargePage => user_block(memory::phys(0)),
        };
        self.entry(2, index(BASE, 2))
            .store(value, Ordering::Relaxed);
    }

    fn address_of(&self, level: u32) -> u64 {
        self.root() + u64::from(level) * PAGE_SIZE
    }

    fn entry(&self, level: u32, at: usize) -> &AtomicU64 {
        assert!(at < ENTRIES, "beyond the table");
        // SAFETY: within the four tables; `levels` is only ever accessed by these atomics.
        let entry = unsafe {
            self.levels
                .get()
                .cast::<u64>()
                .add(level as usize * ENTRIES + at)
        };
        // SAFETY: aligned, valid for the life of `self`, and shared as an atomic alone.
        unsafe { AtomicU64::from_ptr(entry) }
    }
}

/// The address of page number `page`.
pub const fn address(page: usize) -> u64 {
    BASE + page as u64 * PAGE_SIZE
}

/// Lets this CPU run on the page table at `root` under `asid`. Behind the ISB it walks the old one no more (Arm ARM D24.1.2.2).
///
/// # Safety
/// `root` is a page table that stays one until another is installed; the ASID is clean on this CPU.
pub unsafe fn install(root: u64, asid: u64) {
    // SAFETY: the kernel lives in the other half; the caller vouches for this one.
    unsafe {
        asm!("msr ttbr0_el1, {}", "isb", in(reg) asid << 48 | root, options(nostack, preserves_flags))
    };
}

/// Lets this CPU run on no process.
pub fn install_empty() {
    // SAFETY: a static table that maps nothing; ASID 0 is no process's.
    unsafe { install(phys_of(&raw const EMPTY), 0) };
}
