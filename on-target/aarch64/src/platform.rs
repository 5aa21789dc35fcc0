//! What the library asks of a kernel, and the engine built on it.

use core::arch::asm;

use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::instructions::Asm;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::SwitchError;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::{AddressSpace, SpaceId};

use crate::{clock, cpus, process};

/// 64-bit words of a CPU set.
pub const WORDS: usize = 1;
/// The CPUs, as the library drives them.
pub type Arch = Aarch64<Asm, WORDS>;
/// The engine of this kernel.
pub type Engine = Shootdown<Kernel, WORDS>;
/// An address space of this kernel.
pub type Space = AddressSpace<Arch, WORDS>;

/// The one engine.
pub static ENGINE: Engine = Shootdown::new(
    Kernel,
    Aarch64::new(Asm, Config::new(Granule::Kib4).wide_asids()),
);

/// Starts all CPUs and announces each to the engine, which then uses what all of them have.
///
/// # Panics
/// Where a CPU does not start or is refused.
pub fn bring_up() {
    cpus::start();
    for cpu in 0..cpus::COUNT {
        cpus::run_on(cpu, || ENGINE.cpu_online()).expect("all CPUs of this machine are alike");
    }
    ENGINE.arch().seal_features();
}

/// Has the executing CPU run `space`, whose page table lies at `root`.
///
/// # Errors
/// Those of [`Shootdown::switch_to`].
///
/// # Safety
/// `root` is a page table that stays one until another is installed.
pub unsafe fn run_space(space: &Space, root: u64) -> Result<(), SwitchError> {
    let id = ENGINE.switch_to(space)?;
    // SAFETY: the caller vouches for the root, the engine for the ASID.
    unsafe { process::install(root, id.0) };
    ENGINE.root_loaded();
    Ok(())
}

/// Has the executing CPU run no space and keep the root that it has.
pub fn idle() {
    ENGINE.enter_lazy();
}

/// This kernel: no tasks to migrate, interrupts off for ever, other CPUs that look for requests between two jobs.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

// SAFETY: nothing migrates and no interrupt is ever taken, so that both guards hold by themselves; each CPU has a number of
// its own; `cpus::interrupt` publishes with release and the target serves with acquire; no fault handler repairs anything.
unsafe impl Platform for Kernel {
    type Arch = Arch;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(cpus::current() as u32)
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, targets: CpuMask<'_>) {
        targets.iter().for_each(|cpu| cpus::interrupt(cpu.index()));
    }

    fn relax(&self) {
        clock::relax();
    }

    fn now(&self) -> Option<u64> {
        Some(clock::now())
    }

    fn leave_borrowed_root(&self, _space: Option<SpaceId>) {
        process::install_empty();
    }
}

/// The barriers between memory and the SMMU, which is coherent here.
#[derive(Clone, Copy, Debug)]
pub struct Barriers;

// SAFETY: each barrier is at least as wide as asked for, and clobbers memory.
unsafe impl DmaBarriers for Barriers {
    fn publish_tables(&self) {
        // SAFETY: a barrier.
        unsafe { asm!("dsb oshst", options(nostack, preserves_flags)) };
    }

    fn before_doorbell(&self) {
        // SAFETY: a barrier.
        unsafe { asm!("dsb oshst", options(nostack, preserves_flags)) };
    }

    fn after_completion(&self) {
        // SAFETY: a barrier.
        unsafe { asm!("dsb osh", options(nostack, preserves_flags)) };
    }

    fn clean_lines(&self, _start: *const u8, _len: usize) {}
}
