//! A kernel before the conformance suite: what the tests of all kernels share, each of which includes this file and names itself `kernel`.

mod mapped;

use crate::kernel::platform::{self, ENGINE};
use crate::kernel::{cpus, kernel_half, probe, process};
use mapped::mapped;
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown_model::conformance::{self, Agent, Entry, PAGES, Passed, Probe, Window};
use tlb_shootdown_scenarios::{Access, Directory};

static TABLE: process::PageTable = process::PageTable::new();

fn word(access: Access) -> Option<u64> {
    match access {
        Access::Done(word) => Some(word),
        Access::Refused(_) => None,
    }
}

/// The CPUs and what they run. How they run it is each kernel's own.
pub(crate) struct Kernel;

impl Agent for Kernel {
    fn read(&self, page: usize) -> Option<u64> {
        word(probe::read(process::address(page)))
    }

    fn write(&self, page: usize) -> bool {
        word(probe::write(process::address(page) + 8, 1)).is_some()
    }
}

impl Window for Kernel {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(process::address(page))
    }

    fn store(&self, page: usize, entry: Entry) {
        TABLE.set(page, mapped(entry));
    }

    fn hang_table(&self, hung: bool) -> bool {
        TABLE.set_directory(if hung {
            Directory::Table
        } else {
            Directory::Empty
        });
        true
    }
}

impl Probe for Kernel {
    fn kernel(&self) -> Option<&dyn Window> {
        Some(&KernelPages)
    }
}

/// Pages of the kernel half, always writable.
struct KernelPages;

impl Agent for KernelPages {
    fn read(&self, page: usize) -> Option<u64> {
        // SAFETY: memory, or not mapped.
        word(unsafe { probe::read_kernel(kernel_half::address(page)) })
    }

    fn write(&self, page: usize) -> bool {
        self.read(page).is_some()
    }
}

impl Window for KernelPages {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(kernel_half::address(page))
    }

    fn store(&self, page: usize, entry: Entry) {
        kernel_half::set(page, mapped(entry).map(|(phys, _)| phys));
    }

    fn hang_table(&self, hung: bool) -> bool {
        if hung {
            kernel_half::link();
        } else {
            kernel_half::unlink();
        }
        true
    }
}

fn counts(passed: Passed) -> (u32, u32) {
    (passed.checks, passed.skipped)
}

pub(crate) fn the_platform_keeps_its_contract() {
    platform::bring_up();
    let passed = conformance::platform(&ENGINE, &Kernel).expect("the contract is kept");
    assert_eq!(counts(passed), (19, 0));
}

pub(crate) fn every_way_of_flushing_reaches_every_cpu() {
    platform::bring_up();
    kernel_half::link();
    TABLE.clear();
    mapped::fill_frames();
    let space = ENGINE.new_space();
    for cpu in 0..cpus::COUNT {
        // SAFETY: a static table.
        cpus::run_on(cpu, || unsafe { platform::run_space(&space, TABLE.root()) })
            .expect("an identifier");
    }
    let passed = conformance::arch(&ENGINE, &space, &Kernel).expect("nobody is left out");
    assert_eq!(counts(passed), (30, 0));
    // An emulated TLB is small: an entry may have gone by itself, but not most of them.
    let looks = passed.controls;
    assert!(looks >= (cpus::COUNT * PAGES) as u32);
    assert!(passed.stale > looks / 2, "{passed}");
}
