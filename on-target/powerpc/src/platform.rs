//! What the library asks of a kernel, and the engine built on it.

use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};

use tlb_shootdown::arch::powerpc::instructions::Asm;
use tlb_shootdown::arch::powerpc::{Config, Isa, PowerPc};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::error::{FlushError, Refused, SwitchError};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::{AddressSpace, SpaceId};

use crate::{clock, cpus, doorbell, interrupts, process, spr, translation};

/// 64-bit words of a CPU set.
pub const WORDS: usize = 1;
/// The CPUs, as the library drives them.
pub type Arch = PowerPc<Asm, WORDS>;
/// The engine of this kernel.
pub type Engine = Shootdown<Kernel, WORDS>;
/// An address space of this kernel.
pub type Space = AddressSpace<Arch, WORDS>;

/// The one engine: that of a hypervisor, or that of a guest. The image finds out on which machine it is.
#[derive(Clone, Copy, Debug)]
pub struct TheEngine;

/// The one engine.
pub static ENGINE: TheEngine = TheEngine;

static OF_HYPERVISOR: Engine = engine(Config::hypervisor());
static OF_GUEST: Engine = engine(Config::guest());

const fn engine(config: Config) -> Engine {
    let config = config.pid_bits(translation::PID_BITS);
    Shootdown::new(Kernel, PowerPc::new(Asm, config))
}

impl Deref for TheEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        if spr::is_hypervisor() {
            &OF_HYPERVISOR
        } else {
            &OF_GUEST
        }
    }
}

/// Which CPUs keep the PID of a process that they do not run. Each writes its own.
static BORROWS: [AtomicBool; cpus::COUNT] = [const { AtomicBool::new(false) }; cpus::COUNT];

/// Starts all CPUs and announces each to the engine.
///
/// # Panics
/// Where a CPU does not start or is refused.
pub fn bring_up() {
    cpus::start();
    for cpu in 0..cpus::COUNT {
        cpus::run_on(cpu, || ENGINE.cpu_online()).expect("all CPUs of this machine are alike");
    }
}

/// Whether nobody stands above this kernel.
pub fn is_hypervisor() -> bool {
    spr::is_hypervisor()
}

/// How many TLBIEs, each behind a PTESYNC of its own, mend the defects of POWER9 in every broadcast. Of several pages one of them names a
/// whole PID, of which QEMU drops everything: which pages such a broadcast named does not show there.
pub fn mends() -> u32 {
    match ENGINE.arch().isa() {
        Isa::V3_0 => 2,
        Isa::V3_1 | Isa::V3_2 => 0,
    }
}

/// Has the executing CPU run `space`, whose tree lies at `root`.
///
/// # Errors
/// Those of [`Shootdown::switch_to`].
///
/// # Safety
/// `root` is the space's one tree until it is retired.
pub unsafe fn run_space(space: &Space, root: u64) -> Result<(), SwitchError> {
    let _off = interrupts::off();
    let id = ENGINE.switch_to(space)?;
    BORROWS[cpus::current()].store(false, Ordering::Relaxed);
    // SAFETY: the caller vouches for the root, the engine for the PID.
    unsafe { process::install(root, id.0) };
    ENGINE.root_loaded();
    Ok(())
}

/// Has the executing CPU run no space, under the kernel's PID.
pub fn run_nothing() {
    let _off = interrupts::off();
    ENGINE.switch_to_kernel();
    BORROWS[cpus::current()].store(false, Ordering::Relaxed);
    process::install_none();
    ENGINE.root_loaded();
}

/// Has the executing CPU run no space and keep the PID that it has.
pub fn idle() {
    let _off = interrupts::off();
    BORROWS[cpus::current()].store(true, Ordering::Relaxed);
    ENGINE.enter_lazy();
}

/// Ends a space that nobody runs, and waits until no CPU holds anything of it.
///
/// # Errors
/// Those of [`Shootdown::retire`] and of its ticket.
pub fn retire(space: &Space) -> Result<(), FlushError<WORDS>> {
    use tlb_shootdown::arch::Arch as _;
    if let Some(id) = ENGINE.arch().hardware_id(space.hardware()) {
        process::remove(id.0 & PID);
    }
    let retired: Result<_, Refused> = ENGINE.retire(space);
    let ended = retired.map_err(FlushError::Refused)?.wait();
    ended.map_err(|unfinished| FlushError::Incomplete(unfinished.error))?;
    Ok(())
}

/// What of an identifier is the PID.
const PID: u64 = u32::MAX as u64;

/// This kernel: no tasks to migrate, shootdowns by doorbells.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

// SAFETY: nothing migrates; the other guard turns interrupts off and nests; a CPU's number is in a register of its own; a doorbell
// follows a barrier, and one that comes while one is served is kept and taken afterwards; no fault handler repairs anything.
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
        doorbell::ring(targets);
    }

    fn relax(&self) {
        clock::relax();
    }

    fn now(&self) -> Option<u64> {
        Some(clock::now())
    }

    fn leave_borrowed_root(&self, _space: Option<SpaceId>) {
        if BORROWS[cpus::current()].swap(false, Ordering::Relaxed) {
            process::install_none();
        }
    }
}
