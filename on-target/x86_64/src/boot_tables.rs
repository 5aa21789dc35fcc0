//! The page tables the kernel boots with, computed at build time: 4 KiB pages alone, as a large page anywhere makes QEMU
//! flush more than it is asked to and so hides stale entries.

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;

use crate::entry::{ENTRIES, Table, device_page, index, kernel_data_page, kernel_page, table};
use crate::layout::{
    AMD_IOMMU, IMAGE_BASE, IMAGE_MAPPED, IMAGE_OFFSET, KERNEL_HALF, KERNEL_OFFSET, LOCAL_APIC,
    PCI_WINDOW, PCI_WINDOW_LEN, TRAMPOLINE,
};

const PAGE: u64 = 4096;
/// What one level-1 table maps.
const REACH: u64 = PAGE * ENTRIES as u64;
/// What one level-2 table maps.
const GIB: u64 = REACH * ENTRIES as u64;

/// The root until a CPU has left the lower half.
const BOOT_ROOT: usize = 0;
/// The root of no process.
const KERNEL_ROOT: usize = 1;
/// Physical addresses as they are.
const LEVEL_3: usize = 2;
/// The image.
const IMAGE_LEVEL_3: usize = 3;
/// Pages that tests change.
const KERNEL_HALF_LEVEL_3: usize = 4;
const LEVEL_2: [usize; 2] = [5, 6];
const LEVEL_2_BASES: [u64; 2] = [0, PCI_WINDOW / GIB * GIB];
const FIRST_LEVEL_1: usize = 7;

/// What is mapped, in units of one level-1 table: where that begins, and what of it is mapped from where on.
const WINDOWS: [(u64, u64, u64, Memory); 4] = [
    (0, TRAMPOLINE, PAGE, Memory::Data),
    (IMAGE_BASE, IMAGE_BASE, IMAGE_MAPPED, Memory::Image),
    (PCI_WINDOW, PCI_WINDOW, PCI_WINDOW_LEN, Memory::Device),
    // Both IOMMUs and the local APIC.
    (
        LOCAL_APIC / REACH * REACH - REACH,
        AMD_IOMMU,
        LOCAL_APIC + PAGE - AMD_IOMMU,
        Memory::Device,
    ),
];
const LEVEL_1_COUNT: usize = 4 + (IMAGE_MAPPED / REACH) as usize;
const COUNT: usize = FIRST_LEVEL_1 + LEVEL_1_COUNT;

#[derive(Clone, Copy)]
enum Memory {
    Data,
    Device,
    Image,
}

#[repr(C)]
pub(crate) struct BootTables(UnsafeCell<[Table; COUNT]>);

// SAFETY: no code accesses the tables but by the atomics of `entry`; walkers read them.
unsafe impl Sync for BootTables {}

/// Its address is known, as `link.ld` puts it first.
#[unsafe(link_section = ".boot_tables")]
#[unsafe(export_name = "boot_tables")]
static BOOT_TABLES: BootTables = BootTables(UnsafeCell::new(build()));

/// The physical address of the root that maps no process.
pub(crate) const fn kernel_root() -> u64 {
    address(KERNEL_ROOT)
}

/// One entry of the root that maps no process; its upper half is every process's.
pub(crate) fn root_entry(at: usize) -> &'static AtomicU64 {
    entry(KERNEL_ROOT, at)
}

/// The entry of the level-3 table above the pages that tests change.
pub(crate) fn kernel_half_entry() -> &'static AtomicU64 {
    entry(KERNEL_HALF_LEVEL_3, index(KERNEL_HALF, 3))
}

fn entry(table: usize, at: usize) -> &'static AtomicU64 {
    assert!(table < COUNT && at < ENTRIES, "beyond the tables");
    // SAFETY: within the tables.
    let entry = unsafe { BOOT_TABLES.0.get().cast::<u64>().add(table * ENTRIES + at) };
    // SAFETY: aligned, static, and accessed as an atomic alone.
    unsafe { AtomicU64::from_ptr(entry) }
}

const fn address(table: usize) -> u64 {
    IMAGE_BASE + table as u64 * PAGE
}

const fn build() -> [Table; COUNT] {
    let mut tables = [const { Table::EMPTY }; COUNT];
    link_roots(&mut tables);
    let mut next = FIRST_LEVEL_1;
    let mut window = 0;
    while window < WINDOWS.len() {
        let (base, start, len, memory) = WINDOWS[window];
        let mut from = base;
        while from < start + len {
            tables[level_2_of(from)].0[index(from, 2)] = table(address(next));
            fill(&mut tables[next], from, start, start + len, memory);
            from += REACH;
            next += 1;
        }
        window += 1;
    }
    tables
}

/// The upper half is the same under both roots; the boot root maps the image at its physical address as well, where
/// `boot.s` runs until it has jumped to the upper half.
const fn link_roots(tables: &mut [Table; COUNT]) {
    tables[BOOT_ROOT].0[0] = table(address(LEVEL_3));
    let mut root = BOOT_ROOT;
    while root <= KERNEL_ROOT {
        tables[root].0[index(KERNEL_OFFSET, 4)] = table(address(LEVEL_3));
        tables[root].0[index(KERNEL_HALF, 4)] = table(address(KERNEL_HALF_LEVEL_3));
        tables[root].0[index(IMAGE_OFFSET, 4)] = table(address(IMAGE_LEVEL_3));
        root += 1;
    }
    let mut gib = 0;
    while gib < LEVEL_2.len() {
        tables[LEVEL_3].0[index(LEVEL_2_BASES[gib], 3)] = table(address(LEVEL_2[gib]));
        gib += 1;
    }
    tables[IMAGE_LEVEL_3].0[index(IMAGE_OFFSET, 3)] = table(address(LEVEL_2[0]));
}

const fn level_2_of(phys: u64) -> usize {
    let mut gib = 0;
    while phys / GIB * GIB != LEVEL_2_BASES[gib] {
        gib += 1;
    }
    LEVEL_2[gib]
}

/// Maps what of `start..end` lies within the reach of `table`, which begins at `base`.
const fn fill(table: &mut Table, base: u64, start: u64, end: u64, memory: Memory) {
    let mut phys = base;
    while phys < base + REACH {
        if start <= phys && phys < end {
            table.0[index(phys, 1)] = match memory {
                Memory::Data => kernel_data_page(phys),
                Memory::Device => device_page(phys),
                Memory::Image => kernel_page(phys),
            };
        }
        phys += PAGE;
    }
}
