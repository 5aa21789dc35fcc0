//! One machine on a recorder, under the engine: CPUs take their steps one after the other, and interrupts are served when the test
//! says so.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::{AddressSpace, SpaceId};
pub(crate) use tlb_shootdown_model::recorder::x86_64::{Executed, Identification, Recorder};

pub(crate) type Arch = X86_64<Recorder, 1>;
pub(crate) type Space = AddressSpace<Arch, 1>;

pub(crate) const MFENCE: Executed = ("mfence", [0; 3]);
pub(crate) const TLBSYNC: Executed = ("tlbsync", [0; 3]);

pub(crate) const fn invlpg(addr: u64) -> Executed {
    ("invlpg", [addr, 0, 0])
}

pub(crate) const fn invpcid(kind: u64, pcid: u64, addr: u64) -> Executed {
    ("invpcid", [kind, pcid, addr])
}

pub(crate) const fn cr3(value: u64) -> Executed {
    ("mov cr3", [value, 0, 0])
}

pub(crate) const fn cr4(value: u64) -> Executed {
    ("mov cr4", [value, 0, 0])
}

pub(crate) const fn invlpgb(rax: u64, ecx: u64, edx: u64) -> Executed {
    ("invlpgb", [rax, ecx, edx])
}

/// CR3's bit 63: what is cached under the identifier stays.
pub(crate) const KEEP: u64 = 1 << 63;
/// The root of the kernel's own.
pub(crate) const KERNEL_ROOT: u64 = 0x10_0000;

/// The root of the n-th space, counted from 1: 0x20_1000, 0x20_2000 and so on.
pub(crate) fn root(space: SpaceId) -> u64 {
    0x20_0000 + (space.raw() << 12)
}

/// The kernel: one CPU at a time.
#[derive(Default)]
pub(crate) struct Host {
    cpu: AtomicU32,
    /// Whom each IPI call named.
    ipis: Mutex<Vec<Vec<usize>>>,
    /// What each CPU has borrowed, for `leave_borrowed_root`.
    borrowed: Mutex<[Option<SpaceId>; 8]>,
    repairs: AtomicBool,
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
        if !targets.is_empty() {
            self.ipis.lock().unwrap().push(targets);
        }
    }

    fn send_nmi(&self, _: CpuMask<'_>) -> bool {
        true
    }

    fn leave_borrowed_root(&self, space: Option<SpaceId>) {
        let mut borrowed = self.borrowed.lock().unwrap();
        let mine = &mut borrowed[self.cpu().index()];
        if mine.is_some() && (space.is_none() || space == *mine) {
            *mine = None;
        }
    }

    fn repairs_spurious_faults(&self) -> bool {
        self.repairs.load(Ordering::Relaxed)
    }
}

pub(crate) struct World {
    pub(crate) engine: Shootdown<Host, 1>,
}

impl World {
    /// CPUs that are all alike, online on the kernel's root, with what they have in common in use; nothing recorded yet.
    pub(crate) fn new(config: Config, cpu: Identification, cpus: u32) -> Self {
        let world = Self::unsealed(config, cpu, cpus);
        world.engine.arch().seal_features();
        world
    }

    pub(crate) fn unsealed(config: Config, cpu: Identification, cpus: u32) -> Self {
        let arch = X86_64::new(Recorder::new(cpu), config);
        // Who has not answered by then never will: there is one thread.
        let patience = Patience {
            turns: 10_000,
            ..Patience::DEFAULT
        };
        let engine = Shootdown::with_patience(Host::default(), arch, patience);
        let world = Self { engine };
        for index in 0..cpus {
            world.on(index);
            world.engine.cpu_online().expect("alike and few");
            world.recorder().load_root(KERNEL_ROOT);
        }
        world.take();
        world.on(0);
        world
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
        Recorder::run_on(cpu as usize);
        self.engine.platform().cpu.store(cpu, Ordering::Relaxed);
    }

    pub(crate) fn space(&self) -> Space {
        self.engine.new_space()
    }

    /// A CPU switches to the space; what it loads with the root.
    pub(crate) fn run(&self, cpu: u32, space: &Space) -> u64 {
        self.on(cpu);
        let id = self.engine.switch_to(space).expect("live").0;
        self.recorder().load_root(root(space.id()) | id);
        self.engine.root_loaded();
        self.engine.platform().borrowed.lock().unwrap()[cpu as usize] = None;
        id
    }

    /// A CPU switches to a root of the kernel's own.
    pub(crate) fn run_kernel(&self, cpu: u32) -> u64 {
        self.on(cpu);
        let id = self.engine.switch_to_kernel().0;
        self.recorder().load_root(KERNEL_ROOT | id);
        self.engine.root_loaded();
        id
    }

    /// A CPU goes on to a kernel thread on the root that it has loaded.
    pub(crate) fn idle(&self, cpu: u32, space: &Space) {
        self.on(cpu);
        self.engine.platform().borrowed.lock().unwrap()[cpu as usize] = Some(space.id());
        self.engine.enter_lazy();
    }

    pub(crate) fn repair_spurious_faults(&self) {
        self.engine
            .platform()
            .repairs
            .store(true, Ordering::Relaxed);
    }

    /// A CPU takes its interrupt; what it executes.
    pub(crate) fn serve(&self, cpu: u32) -> Vec<Executed> {
        self.take();
        self.on(cpu);
        self.engine.on_ipi();
        self.take()
    }

    /// CPU 0 flushes; what it executed before anybody else answered, and what it cost. Everybody then answers.
    pub(crate) fn flush(&self, space: &Space, flush: Flush) -> (Vec<Executed>, Cost) {
        self.on(0);
        self.take();
        let ticket = self.engine.start(space, flush).expect("live");
        let executed = self.take();
        for cpu in self.engine.online_cpus().iter() {
            self.on(cpu.index() as u32);
            self.engine.on_ipi();
        }
        self.on(0);
        let cost = ticket.wait().expect("everybody has answered");
        (executed, cost)
    }

    /// The same for kernel mappings.
    pub(crate) fn flush_kernel(&self, flush: Flush) -> (Vec<Executed>, Cost) {
        self.on(0);
        self.take();
        let ticket = self.engine.start_kernel(flush).expect("canonical");
        let executed = self.take();
        for cpu in self.engine.online_cpus().iter() {
            self.on(cpu.index() as u32);
            self.engine.on_ipi();
        }
        self.on(0);
        let cost = ticket.wait().expect("everybody has answered");
        (executed, cost)
    }
}

/// One CPU with everything but INVLPGB.
pub(crate) fn one() -> World {
    World::new(Config::new(), Identification::FULL, 1)
}

pub(crate) const fn page(addr: u64) -> Flush {
    Flush::page(VirtAddr::new(addr), PageSize::KIB_4)
}

pub(crate) fn kib4(start: u64, count: u64) -> PageRange {
    PageRange::from_len(VirtAddr::new(start), count << 12, PageSize::KIB_4).expect("a range")
}

/// `count` pages of 4 KiB whose leaf entries alone have changed.
pub(crate) fn leaves(start: u64, count: u64) -> Flush {
    Flush::pages(kib4(start, count)).leaf_only()
}

/// The same with freed tables.
pub(crate) fn tables(start: u64, count: u64) -> Flush {
    Flush::pages(kib4(start, count))
}
