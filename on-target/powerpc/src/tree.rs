//! What a tree maps, as a walker finds it: QEMU flushes more than it is asked to once it has seen a large page, and would hide
//! stale entries.

use core::ptr::with_exposed_provenance;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::entry::{self, LEVELS};
use crate::layout::KERNEL_OFFSET;
use crate::translation;

/// Pages of a tree, by size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Of 4 KiB.
    pub small: usize,
    /// Of any other size.
    pub large: usize,
}

/// Counts what the tree of `pid` maps.
///
/// # Panics
/// Where the process table has no room for the PID.
pub fn pages(pid: u64) -> Pages {
    let mut pages = Pages::default();
    if let Some(root) = translation::root_of(pid) {
        count(root, LEVELS, &mut pages);
    }
    pages
}

fn count(table: u64, level: u32, pages: &mut Pages) {
    for at in 0..entry::entries(level) {
        let place = table + 8 * at as u64 + KERNEL_OFFSET;
        // SAFETY: tables lie in the image, which is mapped, and are shared as atomics alone.
        let word = unsafe { &*with_exposed_provenance::<AtomicU64>(place as usize) };
        let found = word.load(Ordering::Relaxed);
        if entry::is_page(found) {
            let size = if level == 1 {
                &mut pages.small
            } else {
                &mut pages.large
            };
            *size += 1;
        } else if let Some(next) = entry::next_table(found) {
            count(next, level - 1, pages);
        }
    }
}
