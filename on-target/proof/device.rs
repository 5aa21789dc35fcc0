//! The library's driver of a kernel's IOMMU before the conformance suite, with a device that looks: what the tests of these kernels share, each of
//! which includes this file and names itself `kernel`.

mod mapped;

use crate::kernel::device::Devices;
use crate::kernel::machine::Emulated;
use crate::kernel::platform::Barriers;
use crate::kernel::{clock, cpus, memory, process};
use core::sync::atomic::{AtomicU64, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown_model::conformance::{
    self, Agent, Bounds, Entry, PAGES, Passed, Surroundings, Window,
};
use tlb_shootdown_scenarios::{Access, Machine, Observer};

/// What a device writes: another word each time, so that what arrives is known from what an earlier write has left.
static WRITTEN: AtomicU64 = AtomicU64::new(0x1_0000);

/// A space, the devices that share it, and CPUs that run nothing.
struct Shared {
    machine: Emulated,
    devices: fn(&Emulated) -> &Devices,
    /// Whether a device that has walked a space shows that it was released.
    shows_release: bool,
}

impl Shared {
    fn devices(&self) -> &Devices {
        (self.devices)(&self.machine)
    }
}

impl Surroundings for Shared {
    fn relax(&self) {
        clock::relax();
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        cpus::run_everywhere(|_| work());
        true
    }

    fn device(&self) -> Option<&dyn Window> {
        Some(self)
    }

    fn shows_release(&self) -> bool {
        self.shows_release
    }
}

impl Agent for Shared {
    fn read(&self, page: usize) -> Option<u64> {
        // What a device may not use it does not touch: the word is then still this one.
        memory::fill(memory::SPARE, 0);
        match self.devices().read(process::address(page)) {
            Ok(Access::Done(word)) => Some(word).filter(|&word| word != 0),
            _ => None,
        }
    }

    fn write(&self, page: usize) -> bool {
        let word = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let written = self.devices().write(process::address(page) + 8, word);
        matches!(written, Ok(Access::Done(_)))
    }
}

impl Window for Shared {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(process::address(page))
    }

    fn store(&self, page: usize, entry: Entry) {
        self.machine.map(page, mapped::mapped(entry));
        Barriers.publish_tables();
    }
}

/// Brings the machine up, attaches its devices, and proves the driver: checks that were made and checks that could not be.
pub(crate) fn prove(devices: fn(&Emulated) -> &Devices, shows_release: bool) -> (u32, u32) {
    let mut machine = Emulated::new().expect("the machine comes up");
    machine
        .reset(Observer::Device)
        .expect("the devices are attached");
    mapped::fill_frames();
    let (driver, key) = devices(&machine).attached().expect("they are attached");
    let shared = Shared {
        machine,
        devices,
        shows_release,
    };
    let (start, len) = (shared.address(0), PAGES as u64 * process::PAGE_SIZE);
    let bounds = Bounds {
        pages: PageRange::from_len(start, len, PageSize::KIB_4).expect("adjacent pages"),
        polls: 100_000,
        room: 1_000,
    };
    let passed = conformance::secondary(driver, key, &bounds, &shared);
    let passed: Passed = passed.expect("the contract is kept");
    assert!(passed.stale > 0, "{passed}");
    (passed.checks, passed.skipped)
}
