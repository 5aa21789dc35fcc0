//! The kernel's own tree, computed at build time: 4 KiB pages alone, as a large page anywhere makes QEMU flush more than it is
//! asked to and so hides stale entries. It is the tree of PID 0, and so of quadrant 3.

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;

use crate::entry::{ENTRIES, Root, Table, device_page, index, kernel_page, table};
use crate::layout::{BOOT_TABLES, IMAGE_MAPPED, KERNEL_HALF, KERNEL_OFFSET, PORTS};

const PAGE: u64 = 4096;
/// What one level-1 table maps.
const REACH: u64 = PAGE * ENTRIES as u64;

/// Tables below the root, each at its place: those of the image, those of the ports, and that above the pages that tests change.
const IMAGE_LEVEL_3: usize = 0;
const IMAGE_LEVEL_2: usize = 1;
const PORTS_LEVEL_3: usize = 2;
const PORTS_LEVEL_2: usize = 3;
const PORTS_LEVEL_1: usize = 4;
const KERNEL_HALF_LEVEL_3: usize = 5;
const IMAGE_LEVEL_1: usize = 6;
const COUNT: usize = IMAGE_LEVEL_1 + (IMAGE_MAPPED / REACH) as usize;

#[repr(C)]
pub(crate) struct BootTables {
    root: UnsafeCell<Root>,
    tables: UnsafeCell<[Table; COUNT]>,
}

// SAFETY: no code accesses the tables but by the atomics of `entry` and as constants; walkers read them.
unsafe impl Sync for BootTables {}

/// Its address is known, as `link.ld` puts it there.
#[unsafe(link_section = ".boot_tables")]
#[unsafe(export_name = "boot_tables")]
static BOOT_TABLES_OF_PID_0: BootTables = BootTables {
    root: UnsafeCell::new(root()),
    tables: UnsafeCell::new(tables()),
};

/// The physical address of the root.
pub(crate) const fn kernel_root() -> u64 {
    BOOT_TABLES
}

/// The entry of the level-3 table above the pages that tests change.
pub(crate) fn kernel_half_entry() -> &'static AtomicU64 {
    entry(KERNEL_HALF_LEVEL_3, index(KERNEL_HALF, 3))
}

fn entry(table: usize, at: usize) -> &'static AtomicU64 {
    assert!(table < COUNT && at < ENTRIES, "beyond the tables");
    let first: *mut u64 = BOOT_TABLES_OF_PID_0.tables.get().cast();
    // SAFETY: within the tables.
    let entry = unsafe { first.add(table * ENTRIES + at) };
    // SAFETY: aligned, static, and accessed as an atomic alone.
    unsafe { AtomicU64::from_ptr(entry) }
}

const fn address(table: usize) -> u64 {
    BOOT_TABLES + size_of::<Root>() as u64 + table as u64 * PAGE
}

const fn root() -> Root {
    let mut root = Root::EMPTY;
    root.0[index(KERNEL_OFFSET, 4)] = table(address(IMAGE_LEVEL_3));
    root.0[index(PORTS, 4)] = table(address(PORTS_LEVEL_3));
    root.0[index(KERNEL_HALF, 4)] = table(address(KERNEL_HALF_LEVEL_3));
    root
}

const fn tables() -> [Table; COUNT] {
    let mut tables = [const { Table::EMPTY }; COUNT];
    tables[IMAGE_LEVEL_3].0[0] = table(address(IMAGE_LEVEL_2));
    let mut phys = 0;
    while phys < IMAGE_MAPPED {
        let level_1 = IMAGE_LEVEL_1 + (phys / REACH) as usize;
        tables[IMAGE_LEVEL_2].0[index(phys, 2)] = table(address(level_1));
        tables[level_1].0[index(phys, 1)] = kernel_page(phys);
        phys += PAGE;
    }
    tables[PORTS_LEVEL_3].0[index(PORTS, 3)] = table(address(PORTS_LEVEL_2));
    tables[PORTS_LEVEL_2].0[index(PORTS, 2)] = table(address(PORTS_LEVEL_1));
    tables[PORTS_LEVEL_1].0[index(PORTS, 1)] = device_page(PORTS);
    tables
}
