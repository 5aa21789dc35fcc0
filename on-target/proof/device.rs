//! A kernel with an IOMMU before the conformance suite, all of its ports in one call: what the tests of these kernels share, each of which
//! includes this file and names itself `kernel`.

mod kernel_pages;
mod mapped;

use crate::kernel::device::Devices;
use crate::kernel::machine::Emulated;
use crate::kernel::platform::{self, Barriers, ENGINE, Engine, Space, WORDS};
use crate::kernel::{clock, cpus, kernel_half, memory, probe, process};
use crate::work::Work;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel_pages::KernelPages;
use mapped::{counts, mapped, word};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown_model::conformance::{
    self, Agent, Attached, Bounds, Cpus, Entry, PAGES, Port, Probe, Surroundings, Window,
};
use tlb_shootdown_scenarios::{Access, Machine, Observer};

/// What a device writes: another word each time, so that what arrives is known from what an earlier write has left.
static WRITTEN: AtomicU64 = AtomicU64::new(0x1_0000);

/// The pages of a space as the devices use them.
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
        Work.run_together(work)
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
        let read = self.devices().read(process::address(page));
        read.ok().and_then(word).filter(|&word| word != 0)
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
        self.machine.map(page, mapped(entry));
        Barriers.publish_tables();
    }
}

/// The same pages as the CPUs use them. Their table stays where it is: what a device reads comes back through another page of it.
struct Kernel(Shared);

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
        self.0.page_size()
    }

    fn address(&self, page: usize) -> VirtAddr {
        self.0.address(page)
    }

    fn store(&self, page: usize, entry: Entry) {
        self.0.machine.map(page, mapped(entry));
    }
}

impl Probe for Kernel {
    fn device(&self) -> Option<&dyn Agent> {
        Some(&self.0)
    }

    fn kernel(&self) -> Option<&dyn Window> {
        Some(&KernelPages)
    }

    fn idle(&self) -> bool {
        platform::idle();
        true
    }
}

impl Port<WORDS> for Kernel {
    type Platform = platform::Kernel;

    fn engine(&self) -> &Engine {
        &ENGINE
    }

    fn space(&self) -> &Space {
        self.0.machine.space()
    }

    fn secondary(&self) -> Option<Attached<'_>> {
        let (tlb, key) = self.0.devices().attached()?;
        let len = PAGES as u64 * process::PAGE_SIZE;
        let pages = PageRange::from_len(self.0.address(0), len, PageSize::KIB_4);
        Some(Attached {
            tlb,
            key,
            bounds: Bounds {
                pages: pages.expect("adjacent pages"),
                polls: 100_000,
                room: 1_000,
            },
            surroundings: &self.0,
        })
    }
}

/// Brings the machine up, has its CPUs and its devices share a space, and proves all ports together. Checks that were made and checks that could
/// not be: of the platform, of the CPUs with the device, of the driver, and of the end of the space.
pub(crate) fn prove(devices: fn(&Emulated) -> &Devices, shows_release: bool) -> [(u32, u32); 4] {
    let mut machine = Emulated::new().expect("the machine comes up");
    machine
        .reset(Observer::Device)
        .expect("the devices are attached");
    kernel_half::link();
    mapped::fill_frames();
    (0..cpus::COUNT).for_each(|cpu| machine.run_on(cpu).expect("it may run"));
    let proof = conformance::run(&Kernel(Shared {
        machine,
        devices,
        shows_release,
    }));
    let proof = proof.expect("the contracts are kept");
    let secondary = proof.secondary.expect("there is one");
    assert!(secondary.stale > 0, "{secondary}");
    [proof.platform, proof.arch, secondary, proof.ending].map(counts)
}
