//! A POWER machine: the real architecture over CPUs whose TLBs keep, under each PID, what was walked once.

use super::world::Page;
use crate::address::{PageSize, VirtAddr};
use crate::arch::powerpc::instructions::Instructions;
use crate::arch::powerpc::{Config, PowerPc};
use crate::cpu_set::{CpuId, CpuMask};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::sync::{Ordering, fence};
use core::cell::Cell;
use loom::sync::{Arc, Mutex};
use loom::thread;

type Machine = PowerPc<Cpus, 1>;
type Engine = Shootdown<Host, 1>;
type Space = AddressSpace<Machine, 1>;

/// The kernel's and the space's.
const PIDS: usize = 2;
const PAGES: usize = 3;

loom::thread_local! {
    static CURRENT: Cell<usize> = Cell::new(0);
}

fn become_cpu(cpu: usize) {
    CURRENT.with(|current| current.set(cpu));
}

fn current() -> usize {
    CURRENT.with(Cell::get)
}

/// One CPU's register and TLB. Only a broadcast locks another CPU's.
#[derive(Default)]
struct Cpu {
    pid: usize,
    cached: [[bool; PAGES]; PIDS],
}

impl Cpu {
    /// By PID where IS\[52:53\] is 1, by address where it is 0.
    fn invalidate(&mut self, rb: u64, rs: u64) {
        let cached = &mut self.cached[(rs >> 32) as usize];
        match rb >> 10 & 3 {
            0 => cached[(rb >> 12) as usize] = false,
            1 => *cached = [false; PAGES],
            _ => self.cached = Default::default(),
        }
    }
}

/// The CPUs of the machine.
pub(super) struct Cpus([Mutex<Cpu>; 2]);

impl Cpus {
    fn new() -> Self {
        Self(core::array::from_fn(|_| Mutex::new(Cpu::default())))
    }

    fn here<R>(&self, f: impl FnOnce(&mut Cpu) -> R) -> R {
        f(&mut self.0[current()].lock().unwrap())
    }

    fn load_pid(&self, pid: u64) {
        self.here(|cpu| cpu.pid = pid as usize);
    }

    /// The calling CPU, under the space's PID, uses the page, as its TLB has it or as the walk finds it.
    fn touch(&self, page: &Page, index: usize) {
        self.here(|cpu| {
            let cached = &mut cpu.cached[cpu.pid][index];
            if *cached || page.is_mapped() {
                *cached = true;
                page.access();
            }
        });
    }

    fn everywhere(&self, rb: u64, rs: u64) {
        for cpu in &self.0 {
            cpu.lock().unwrap().invalidate(rb, rs);
        }
    }
}

macro_rules! nothing {
    ($($name:ident),*) => {
        $(fn $name(&self) {})*
    };
}

macro_rules! invalidations {
    ($how:ident: $($name:ident),*) => {
        $(fn $name(&self, rb: u64, rs: u64) {
            self.$how(rb, rs);
        })*
    };
}

impl Cpus {
    fn locally(&self, rb: u64, rs: u64) {
        self.here(|cpu| cpu.invalidate(rb, rs));
    }
}

// SAFETY: nothing but tests relies on it. Each method drops at least what the instruction of its name drops.
unsafe impl Instructions for Cpus {
    fn ptesync(&self) {
        fence(Ordering::SeqCst);
    }

    fn sync(&self) {
        fence(Ordering::SeqCst);
    }

    nothing!(eieio, tlbsync, isync, slbia_ih3, slbia_ih7, cp_abort);
    invalidations!(everywhere: tlbie_ric0_prs1, tlbie_ric1_prs1, tlbie_ric2_prs1, tlbie_ric0_prs0, tlbie_ric1_prs0, tlbie_ric2_prs0);
    invalidations!(locally: tlbiel_ric0_prs1, tlbiel_ric1_prs1, tlbiel_ric2_prs1, tlbiel_ric0_prs0, tlbiel_ric2_prs0);

    /// POWER10: no defects, one set.
    fn pvr(&self) -> u32 {
        0x0080_0200
    }
}

pub(super) struct Host;

// SAFETY: threads stay on their CPU; interrupts are the calls that the tests make.
unsafe impl Platform for Host {
    type Arch = Machine;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(current() as u32)
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _targets: CpuMask<'_>) {}

    fn relax(&self) {
        thread::yield_now();
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) space: Space,
    pages: [Page; PAGES],
}

impl World {
    /// Two CPUs are online. CPU 1 has run the space and holds the first page; CPU 0, the calling thread, runs it.
    pub(super) fn after_a_move() -> Arc<Self> {
        let config = Config::hypervisor().ask_after(1);
        let engine = Engine::new(Host, Machine::new(Cpus::new(), config));
        for cpu in [1, 0] {
            become_cpu(cpu);
            engine.cpu_online().expect("there is room for both");
        }
        let space = engine.new_space();
        let pages = core::array::from_fn(|_| Page::new());
        let world = Arc::new(Self {
            engine,
            space,
            pages,
        });
        become_cpu(1);
        world.switch();
        world.touch(0);
        world.switch_to_kernel();
        become_cpu(0);
        world.switch();
        world
    }

    pub(super) fn switch(&self) {
        let id = self.engine.switch_to(&self.space).expect("live");
        self.engine.arch().instructions().load_pid(id.0);
        self.engine.root_loaded();
    }

    pub(super) fn switch_to_kernel(&self) {
        let id = self.engine.switch_to_kernel();
        self.engine.arch().instructions().load_pid(id.0);
        self.engine.root_loaded();
    }

    pub(super) fn touch(&self, page: usize) {
        let cpus = self.engine.arch().instructions();
        cpus.touch(&self.pages[page], page);
    }

    /// Unmaps the page, flushes it, and frees the frame: by instruction a flush is complete when it has been started.
    pub(super) fn unmap(&self, page: usize) {
        self.pages[page].unmap();
        let flush = Flush::page(VirtAddr::new((page as u64) << 12), PageSize::KIB_4);
        self.engine
            .flush(&self.space, flush)
            .expect("nobody is waited for");
        self.pages[page].free();
    }
}

/// Another CPU, which takes these steps.
pub(super) fn cpu(
    world: &Arc<World>,
    cpu: usize,
    f: impl FnOnce(&World) + 'static,
) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || {
        become_cpu(cpu);
        f(&world);
    })
}
