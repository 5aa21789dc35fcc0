//! Pages of quadrant 3 that tests may change: one table of them, linked into the kernel's own tree.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::boot_tables::kernel_half_entry;
use crate::entry::{ENTRIES, index, kernel_data_page, table};
use crate::layout::{KERNEL_HALF, phys_of};
use crate::process::PAGE_SIZE;

/// Where those pages begin.
pub const BASE: u64 = KERNEL_HALF;

#[repr(C, align(4096))]
struct Tables([[AtomicU64; ENTRIES]; 2]);

/// Levels 2 and 1.
static TABLES: Tables = Tables([const { [const { AtomicU64::new(0) }; ENTRIES] }; 2]);

/// Links the tables, so that pages can be mapped. No TLB is told, here and below.
pub fn link() {
    let entries = [kernel_half_entry(), &TABLES.0[0][index(BASE, 2)]];
    for (entry, next) in entries.iter().zip(&TABLES.0) {
        entry.store(table(phys_of(next)), Ordering::Relaxed);
    }
}

/// Takes the last-level table, with all pages in it, out of the one above.
pub fn unlink() {
    TABLES.0[0][index(BASE, 2)].store(0, Ordering::Relaxed);
}

/// Maps page number `page` to the frame at `phys`, or to nothing.
///
/// # Panics
/// Where `page` is beyond the one last-level table.
pub fn set(page: usize, phys: Option<u64>) {
    TABLES.0[1][page].store(phys.map_or(0, kernel_data_page), Ordering::Relaxed);
}

/// The address of page number `page`.
pub const fn address(page: usize) -> u64 {
    BASE + page as u64 * PAGE_SIZE
}
