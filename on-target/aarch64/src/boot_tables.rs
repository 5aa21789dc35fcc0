//! The page tables the kernel boots with, computed at build time: 4 KiB pages alone, as a large page anywhere makes QEMU
//! flush more than it is asked to and so hides stale entries.

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;

use crate::descriptor::{ENTRIES, Table, device_page, index, kernel_page, table};
use crate::layout::{ECAM, ECAM_LEN, IMAGE_BASE, IMAGE_MAPPED, PCI_WINDOW, PCI_WINDOW_LEN, UART};

const PAGE: u64 = 4096;
/// What one level-3 table maps.
const REACH: u64 = PAGE * ENTRIES as u64;
/// What one level-2 table maps.
const GIB: u64 = REACH * ENTRIES as u64;

const LEVEL_0: usize = 0;
const LEVEL_1: usize = 1;
const LEVEL_2: [usize; 3] = [2, 3, 4];
const LEVEL_2_BASES: [u64; 3] = [0, GIB, ECAM / GIB * GIB];
const FIRST_LEVEL_3: usize = 5;

/// What is mapped, in units of one level-3 table.
const WINDOWS: [(u64, u64, Memory); 4] = [
    (UART, REACH, Memory::Device),
    (PCI_WINDOW, PCI_WINDOW_LEN, Memory::Device),
    (ECAM, ECAM_LEN as u64, Memory::Device),
    (IMAGE_BASE, IMAGE_MAPPED, Memory::Image),
];
const LEVEL_3_COUNT: usize = 3 + (IMAGE_MAPPED / REACH) as usize;
const COUNT: usize = FIRST_LEVEL_3 + LEVEL_3_COUNT;

#[derive(Clone, Copy)]
enum Memory {
    Device,
    Image,
}

/// Both halves begin with these tables: `boot.s` runs in the lower one until it has jumped to the upper one.
#[repr(C)]
pub(crate) struct BootTables(UnsafeCell<[Table; COUNT]>);

// SAFETY: no code accesses the tables but by the atomics of `root_entry`; walkers read them.
unsafe impl Sync for BootTables {}

/// Its address is known, as `link.ld` puts it first.
#[unsafe(link_section = ".boot_tables")]
#[unsafe(export_name = "boot_tables")]
static BOOT_TABLES: BootTables = BootTables(UnsafeCell::new(build()));

/// One entry of the kernel half's level-0 table.
pub(crate) fn root_entry(at: usize) -> &'static AtomicU64 {
    assert!(at < ENTRIES, "beyond the table");
    // SAFETY: within the first table.
    let entry = unsafe { BOOT_TABLES.0.get().cast::<u64>().add(at) };
    // SAFETY: aligned, static, and accessed as an atomic alone.
    unsafe { AtomicU64::from_ptr(entry) }
}

const fn address(table: usize) -> u64 {
    IMAGE_BASE + table as u64 * PAGE
}

const fn build() -> [Table; COUNT] {
    let mut tables = [const { Table::EMPTY }; COUNT];
    tables[LEVEL_0].0[0] = table(address(LEVEL_1));
    let mut gib = 0;
    while gib < LEVEL_2.len() {
        tables[LEVEL_1].0[index(LEVEL_2_BASES[gib], 1)] = table(address(LEVEL_2[gib]));
        gib += 1;
    }
    let mut next = FIRST_LEVEL_3;
    let mut window = 0;
    while window < WINDOWS.len() {
        let (base, len, memory) = WINDOWS[window];
        let mut done = 0;
        while done < len {
            let from = base + done;
            tables[level_2_of(from)].0[index(from, 2)] = table(address(next));
            let rest = len - done;
            fill(
                &mut tables[next],
                from,
                if rest < REACH { rest } else { REACH },
                memory,
            );
            done += REACH;
            next += 1;
        }
        window += 1;
    }
    tables
}

const fn level_2_of(phys: u64) -> usize {
    let mut gib = 0;
    while phys / GIB * GIB != LEVEL_2_BASES[gib] {
        gib += 1;
    }
    LEVEL_2[gib]
}

const fn fill(table: &mut Table, base: u64, len: u64, memory: Memory) {
    let mut offset = 0;
    while offset < len {
        let phys = base + offset;
        table.0[index(phys, 3)] = match memory {
            Memory::Device => device_page(phys),
            Memory::Image => kernel_page(phys),
        };
        offset += PAGE;
    }
}
