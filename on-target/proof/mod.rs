//! A kernel before the conformance suite: what the tests of all kernels share, each of which includes this file and names itself `kernel`.

mod kernel_pages;
mod mapped;

use crate::kernel::platform::{self, ENGINE, Space};
use crate::kernel::{cpus, kernel_half, probe, process};
use crate::work::Work;
use kernel_pages::KernelPages;
use mapped::{counts, mapped, word};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown_model::conformance::{self, Agent, Cpus, Entry, PAGES, Probe, Window};
use tlb_shootdown_scenarios::Directory;

static TABLE: process::PageTable = process::PageTable::new();

/// The CPUs and what they run. How they are driven is each kernel's own.
struct Kernel;

impl Cpus for Kernel {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        Work.run_on(cpu, work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        Work.run_together(work)
    }
}

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

    fn idle(&self) -> bool {
        platform::idle();
        true
    }
}

/// A space that every CPU runs.
fn space() -> Space {
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
    space
}

/// Checks that are made, and checks that cannot be.
pub(crate) fn the_platform_keeps_its_contract(expected: (u32, u32)) {
    platform::bring_up();
    let passed = conformance::platform(&ENGINE, &Kernel).expect("the contract is kept");
    assert_eq!(counts(passed), expected);
}

pub(crate) fn every_way_of_flushing_reaches_every_cpu() {
    let space = space();
    let passed = conformance::arch(&ENGINE, &space, &Kernel).expect("nobody is left out");
    assert_eq!(counts(passed), (31, 0));
    // An emulated TLB is small: an entry may have gone by itself, but not most of them.
    let looks = passed.controls;
    assert!(looks >= (cpus::COUNT * PAGES) as u32);
    assert!(passed.stale > looks / 2, "{passed}");
}

pub(crate) fn no_cpu_keeps_the_root_of_a_space_that_has_ended() {
    let space = space();
    let passed = conformance::ending(&ENGINE, &space, &Kernel).expect("everybody leaves");
    assert_eq!(counts(passed), (1, 0));
}
