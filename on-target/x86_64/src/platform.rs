//! What the library asks of a kernel, and the engine built on it.

use core::sync::atomic::{AtomicBool, Ordering, fence};

use tlb_shootdown::arch::x86_64::instructions::Asm;
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::SwitchError;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::{AddressSpace, SpaceId};

use crate::{apic, clock, cpus, interrupts, process};

/// 64-bit words of a CPU set.
pub const WORDS: usize = 1;
/// The CPUs, as the library drives them.
pub type Arch = X86_64<Asm, WORDS>;
/// The engine of this kernel.
pub type Engine = Shootdown<Kernel, WORDS>;
/// An address space of this kernel.
pub type Space = AddressSpace<Arch, WORDS>;

/// The one engine.
pub static ENGINE: Engine = Shootdown::new(Kernel, X86_64::new(Asm, Config::new()));

/// Which CPUs keep the root of a process that they do not run. Each writes its own.
static BORROWS: [AtomicBool; cpus::COUNT] = [const { AtomicBool::new(false) }; cpus::COUNT];

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
    let _off = interrupts::off();
    let id = ENGINE.switch_to(space)?;
    BORROWS[cpus::current()].store(false, Ordering::Relaxed);
    // SAFETY: the caller vouches for the root, the engine for the PCID.
    unsafe { process::install(root, id.0) };
    ENGINE.root_loaded();
    Ok(())
}

/// Has the executing CPU run no space, under a root that maps none.
pub fn run_nothing() {
    let _off = interrupts::off();
    let id = ENGINE.switch_to_kernel();
    BORROWS[cpus::current()].store(false, Ordering::Relaxed);
    process::install_empty(id.0);
    ENGINE.root_loaded();
}

/// Has the executing CPU run no space and keep the root that it has.
pub fn idle() {
    let _off = interrupts::off();
    BORROWS[cpus::current()].store(true, Ordering::Relaxed);
    ENGINE.enter_lazy();
}

/// This kernel: no tasks to migrate, shootdowns by an interrupt of the local APIC.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

// SAFETY: nothing migrates; the other guard turns interrupts off and nests; a CPU's number is that of its APIC; the command of
// the APIC is an uncached store, before which all others are visible, and an interrupt that comes while one is served is
// kept and taken afterwards; no fault handler repairs anything.
unsafe impl Platform for Kernel {
    type Arch = Arch;
    type PinGuard = ();
    type IrqGuard = interrupts::Off;

    fn cpu(&self) -> CpuId {
        CpuId::new(cpus::current() as u32)
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) -> interrupts::Off {
        interrupts::off()
    }

    fn send_ipi(&self, targets: CpuMask<'_>) {
        apic::interrupt(targets);
    }

    fn send_nmi(&self, targets: CpuMask<'_>) -> bool {
        apic::interrupt_anyway(targets);
        true
    }

    fn relax(&self) {
        clock::relax();
    }

    fn now(&self) -> Option<u64> {
        Some(clock::now())
    }

    fn leave_borrowed_root(&self, _space: Option<SpaceId>) {
        if BORROWS[cpus::current()].swap(false, Ordering::Relaxed) {
            process::install_empty(0);
        }
    }
}

/// The barriers between memory and an IOMMU, which is coherent here.
#[derive(Clone, Copy, Debug)]
pub struct Barriers;

// SAFETY: stores are seen in their order by whoever snoops caches, also before a store to uncached memory; the fence orders
// loads as well, and both clobber memory.
unsafe impl DmaBarriers for Barriers {
    fn publish_tables(&self) {
        fence(Ordering::SeqCst);
    }

    fn before_doorbell(&self) {
        fence(Ordering::SeqCst);
    }

    fn after_completion(&self) {
        fence(Ordering::SeqCst);
    }

    fn clean_lines(&self, _start: *const u8, _len: usize) {}
}
