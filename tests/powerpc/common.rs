//! One machine on a recorder, under the engine: CPUs take their steps one after the other, and interrupts are served when the test
//! says so.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::powerpc::{Config, PowerPc};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::{AddressSpace, SpaceId};
pub(crate) use tlb_shootdown_model::recorder::powerpc::{Executed, POWER9, POWER10, Recorder};

pub(crate) type Arch = PowerPc<Recorder, 1>;
pub(crate) type Engine = Shootdown<Host, 1>;
pub(crate) type Space = AddressSpace<Arch, 1>;

pub(crate) const PTESYNC: Executed = ("ptesync", [0; 2]);
pub(crate) const SYNC: Executed = ("sync", [0; 2]);
pub(crate) const EIEIO: Executed = ("eieio", [0; 2]);
pub(crate) const TLBSYNC: Executed = ("tlbsync", [0; 2]);
pub(crate) const ISYNC: Executed = ("isync", [0; 2]);
pub(crate) const CP_ABORT: Executed = ("cp_abort", [0; 2]);
pub(crate) const SLBIA_USER: Executed = ("slbia ih3", [0; 2]);
pub(crate) const SLBIA_ALL: Executed = ("slbia ih7", [0; 2]);
/// What ends every broadcast.
pub(crate) const CLOSING: [Executed; 3] = [EIEIO, TLBSYNC, PTESYNC];

/// RS of PID 1 and 2, the first two that are given.
pub(crate) const PID_1: u64 = 1 << 32;
pub(crate) const PID_2: u64 = 2 << 32;
/// RB by PID.
pub(crate) const BY_PID: u64 = 0x400;

pub(crate) const fn tlbie(rb: u64, rs: u64) -> Executed {
    ("tlbie ric0 prs1", [rb, rs])
}

pub(crate) const fn tlbiel(rb: u64, rs: u64) -> Executed {
    ("tlbiel ric0 prs1", [rb, rs])
}

/// The kernel: one CPU at a time.
#[derive(Default)]
pub(crate) struct Host {
    cpu: AtomicU32,
    /// Whom each IPI call named.
    ipis: Mutex<Vec<Vec<usize>>>,
    repairs: AtomicBool,
    left: AtomicU32,
}

// SAFETY: one thread; nobody is pinned, and interrupts are served when the test says so.
unsafe impl Platform for Host {
    type Arch = Arch;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, targets: CpuMask<'_>) {
        let targets: Vec<_> = targets.iter().map(CpuId::index).collect();
        self.ipis.lock().unwrap().push(targets);
    }

    fn leave_borrowed_root(&self, _: Option<SpaceId>) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    fn repairs_spurious_faults(&self) -> bool {
        self.repairs.load(Ordering::Relaxed)
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
}

impl World {
    /// CPUs that are all alike, online under the kernel's PID; nothing recorded yet.
    pub(crate) fn new(config: Config, pvr: u32, cpus: u32) -> Self {
        let arch = PowerPc::new(Recorder::new(pvr), config);
        let patience = Patience {
            nanoseconds: 0,
            turns: 4,
        };
        let engine = Shootdown::with_patience(Host::default(), arch, patience);
        let world = Self { engine };
        for index in 0..cpus {
            world.on(index);
            world.engine.cpu_online().expect("alike and few");
        }
        world.take();
        world.on(0);
        world
    }

    pub(crate) fn power10(cpus: u32) -> Self {
        Self::new(Config::hypervisor(), POWER10, cpus)
    }

    pub(crate) fn power9(cpus: u32) -> Self {
        Self::new(Config::hypervisor(), POWER9, cpus)
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        self.engine.arch().instructions()
    }

    /// What was executed since the last call.
    pub(crate) fn take(&self) -> Vec<Executed> {
        self.recorder().take()
    }

    /// The IPI calls since the last one of this.
    pub(crate) fn ipis(&self) -> Vec<Vec<usize>> {
        std::mem::take(&mut *self.engine.platform().ipis.lock().unwrap())
    }

    pub(crate) fn on(&self, cpu: u32) {
        self.engine.platform().cpu.store(cpu, Ordering::Relaxed);
    }

    pub(crate) fn space(&self) -> Space {
        self.engine.new_space()
    }

    /// A CPU switches to the space; its PID.
    pub(crate) fn run(&self, cpu: u32, space: &Space) -> u64 {
        self.on(cpu);
        let id = self.engine.switch_to(space).expect("live").0;
        self.engine.root_loaded();
        id
    }

    /// CPUs run the space in turn, CPU 0 last.
    pub(crate) fn run_on(&self, cpus: u32, space: &Space) {
        (0..cpus).rev().for_each(|cpu| {
            self.run(cpu, space);
        });
        self.take();
    }

    /// A CPU switches to the kernel's PID.
    pub(crate) fn run_kernel(&self, cpu: u32) -> u64 {
        self.on(cpu);
        let id = self.engine.switch_to_kernel().0;
        self.engine.root_loaded();
        id
    }

    /// A CPU goes on to a kernel thread under the PID that it has loaded.
    pub(crate) fn idle(&self, cpu: u32) {
        self.on(cpu);
        self.engine.enter_lazy();
    }

    /// How often the kernel was told to leave a borrowed PID.
    pub(crate) fn times_left(&self) -> u32 {
        self.engine.platform().left.load(Ordering::Relaxed)
    }

    pub(crate) fn repair_spurious_faults(&self) {
        let repairs = &self.engine.platform().repairs;
        repairs.store(true, Ordering::Relaxed);
    }

    /// A CPU takes its interrupt; what it executes.
    pub(crate) fn serve(&self, cpu: u32) -> Vec<Executed> {
        self.take();
        self.on(cpu);
        self.engine.on_ipi();
        self.on(0);
        self.take()
    }

    /// CPU 0 flushes: what it executed and what it cost.
    pub(crate) fn flush(&self, space: &Space, flush: Flush) -> (Vec<Executed>, Cost) {
        self.on(0);
        self.take();
        let cost = self
            .engine
            .flush(space, flush)
            .expect("nobody is waited for");
        (self.take(), cost)
    }

    pub(crate) fn flush_kernel(&self, flush: Flush) -> (Vec<Executed>, Cost) {
        self.on(0);
        self.take();
        let ticket = self.engine.start_kernel(flush).expect("of the kernel");
        let cost = ticket.wait().expect("nobody is waited for");
        (self.take(), cost)
    }
}

/// A space that CPU 0 alone has run.
pub(crate) fn alone(world: &World) -> Space {
    let space = world.space();
    world.run_on(1, &space);
    space
}

/// A space that CPU 0 and CPU 1 run.
pub(crate) fn shared(world: &World) -> Space {
    let space = world.space();
    world.run_on(2, &space);
    space
}

pub(crate) const fn page(addr: u64) -> Flush {
    Flush::page(VirtAddr::new(addr), PageSize::KIB_4)
}

pub(crate) fn kib4(start: u64, count: u64) -> PageRange {
    PageRange::from_len(VirtAddr::new(start), count << 12, PageSize::KIB_4).expect("a range")
}

/// `count` pages of 4 KiB whose leaf entries alone have changed.
pub(crate) fn leaves(start: u64, count: u64) -> Flush {
    Flush::pages(kib4(start, count))
        .leaf_only()
        .leaf_size(PageSize::KIB_4)
}

/// The same with freed tables.
pub(crate) fn tables(start: u64, count: u64) -> Flush {
    Flush::pages(kib4(start, count)).leaf_size(PageSize::KIB_4)
}
