//! A process's tree: four levels down to pages of 4 KiB, for quadrant 0.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use tlb_shootdown_scenarios::Directory;

use crate::entry::{ENTRIES, Root, Table, index, table, user_page};
use crate::layout::phys_of;
use crate::{memory, translation};

/// Where a process's pages begin.
pub const BASE: u64 = 0x10_0000_0000;
/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;

/// One tree, for pages from [`BASE`] on.
#[repr(C)]
pub struct PageTable {
    root: UnsafeCell<Root>,
    /// Levels 3 to 1.
    tables: UnsafeCell<[Table; 3]>,
}

// SAFETY: entries are changed by atomic stores alone.
unsafe impl Sync for PageTable {}

impl Default for PageTable {
    fn default() -> Self {
        Self::new()
    }
}

impl PageTable {
    /// A tree that maps nothing; usable once [`PageTable::clear`] has linked its levels.
    pub const fn new() -> Self {
        Self {
            root: UnsafeCell::new(Root::EMPTY),
            tables: UnsafeCell::new([Table::EMPTY, Table::EMPTY, Table::EMPTY]),
        }
    }

    /// The physical address for a process-table entry.
    pub fn root(&self) -> u64 {
        phys_of(self.root.get())
    }

    /// Links the levels, and unmaps every page. No TLB is told.
    pub fn clear(&self) {
        for level in [4, 3, 2] {
            self.entry(level, index(BASE, level))
                .store(table(self.address_of(level - 1)), Ordering::Relaxed);
        }
        for page in 0..ENTRIES {
            self.entry(1, page).store(0, Ordering::Relaxed);
        }
    }

    /// Stores the entry of page number `page` and tells no TLB.
    ///
    /// # Panics
    /// Where `page` is beyond the one last-level table.
    pub fn set(&self, page: usize, entry: Option<(u64, bool)>) {
        let value = entry.map_or(0, |(phys, writable)| user_page(phys, writable));
        self.entry(1, page).store(value, Ordering::Relaxed);
    }

    /// Stores the entry above the last-level table and tells no TLB.
    pub fn set_directory(&self, to: Directory) {
        let value = match to {
            Directory::Empty => 0,
            Directory::Table => table(self.address_of(1)),
            // Above the last level the same entry is that of a large page.
            Directory::LargePage => user_page(memory::phys(0), true),
        };
        self.entry(2, index(BASE, 2))
            .store(value, Ordering::Relaxed);
    }

    /// Of the tables of level 3 to 1.
    fn address_of(&self, level: u32) -> u64 {
        phys_of(self.tables.get()) + u64::from(3 - level) * PAGE_SIZE
    }

    fn entry(&self, level: u32, at: usize) -> &AtomicU64 {
        assert!(at < ENTRIES, "beyond the table");
        let first: *mut u64 = match level {
            4 => self.root.get().cast(),
            _ => self.tables.get().cast(),
        };
        let table = if level == 4 { 0 } else { 3 - level as usize };
        // SAFETY: within the root or the three tables, which are only ever accessed by these atomics.
        let entry = unsafe { first.add(table * ENTRIES + at) };
        // SAFETY: aligned, valid for the life of `self`, and shared as an atomic alone.
        unsafe { AtomicU64::from_ptr(entry) }
    }
}

/// The address of page number `page`.
pub const fn address(page: usize) -> u64 {
    BASE + page as u64 * PAGE_SIZE
}

/// Lets this CPU run on the tree at `root` under `pid`.
///
/// # Safety
/// `root` is a tree that stays one until another is installed; the PID is not 0, and clean on this CPU or that of the same tree.
pub unsafe fn install(root: u64, pid: u64) {
    // SAFETY: the caller's promise.
    unsafe { translation::install(root, pid) };
}

/// Takes the tree of a process that ends out of the process table. No TLB is told.
pub fn remove(pid: u64) {
    translation::remove(pid);
}

/// Lets this CPU run on no process.
pub fn install_none() {
    translation::install_none();
}
