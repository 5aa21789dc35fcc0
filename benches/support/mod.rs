//! Two CPUs on the recorder that have both run one space, so that every flush is broadcast.

use core::sync::atomic::{AtomicU32, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::recorder::aarch64::{Identification, Recorder};

/// A host that plays one CPU at a time.
#[derive(Default)]
pub(crate) struct Host(AtomicU32);

// SAFETY: one thread, and nobody else is interrupted or pinned.
unsafe impl Platform for Host {
    type Arch = Aarch64<Recorder, 1>;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.0.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _targets: CpuMask<'_>) {}
}

pub(crate) type Engine = Shootdown<Host, 1>;
pub(crate) type Space = AddressSpace<Aarch64<Recorder, 1>, 1>;

/// The engine, and a space without secondary TLBs.
pub(crate) fn engine() -> (Engine, Space) {
    let recorder = Recorder::new(Identification::FULL);
    let engine = Engine::new(
        Host::default(),
        Aarch64::new(recorder, Config::new(Granule::Kib4)),
    );
    let space = engine.new_space();
    for cpu in [1, 0] {
        engine.platform().0.store(cpu, Ordering::Relaxed);
        engine.cpu_online().expect("CPUs 0 and 1 fit");
        engine.switch_to(&space).expect("an ASID is left");
    }
    engine.arch().seal_features();
    engine.arch().instructions().take();
    (engine, space)
}

/// One page, and what the recorder kept of it is forgotten.
#[inline(never)]
pub(crate) fn flush_page(engine: &Engine, space: &Space) {
    let cost = engine.flush_page(space, VirtAddr::new(0x4000_1000), PageSize::KIB_4);
    assert_eq!(cost.map(|cost| cost.invalidations), Ok(1));
}

/// A range of 512 pages.
#[inline(never)]
pub(crate) fn flush_512_pages(engine: &Engine, space: &Space) {
    let pages = PageRange::from_len(VirtAddr::new(0x4000_0000), 512 << 12, PageSize::KIB_4)
        .expect("the range is not empty");
    let cost = engine.flush(space, Flush::pages(pages).leaf_only());
    assert_eq!(cost.map(|cost| cost.invalidations), Ok(1));
}
