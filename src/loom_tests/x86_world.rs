//! An x86-64 machine: the real architecture over CPUs whose TLBs keep, under each identifier, what was walked once.

use super::world::Page;
use crate::address::{PageSize, VirtAddr};
use crate::arch::x86_64::instructions::{CpuidAnswer, Instructions};
use crate::arch::x86_64::{Config, X86_64};
use crate::cpu_set::{CpuId, CpuMask};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::sync::{Ordering, fence};
use core::cell::Cell;
use loom::sync::{Arc, Mutex};
use loom::thread;

pub(super) type Machine = X86_64<Cpus, 1>;
pub(super) type Engine = Shootdown<Host, 1>;
pub(super) type Space = AddressSpace<Machine, 1>;

/// Identifiers that a test can meet: the kernel's, two slots', and the first common ones.
const PCIDS: usize = 6;
pub(super) const PAGES: usize = 2;

loom::thread_local! {
    static CURRENT: Cell<usize> = Cell::new(0);
}

/// From now on the calling thread is this CPU.
pub(super) fn become_cpu(cpu: usize) {
    CURRENT.with(|current| current.set(cpu));
}

fn current() -> usize {
    CURRENT.with(Cell::get)
}

/// One CPU's register and TLB. Only a broadcast locks another CPU's.
#[derive(Default)]
struct Cpu {
    pcid: usize,
    cached: [[bool; PAGES]; PCIDS],
}

/// The CPUs of the machine.
pub(super) struct Cpus([Mutex<Cpu>; 3]);

impl Cpus {
    fn new() -> Self {
        Self(core::array::from_fn(|_| Mutex::new(Cpu::default())))
    }

    fn here<R>(&self, f: impl FnOnce(&mut Cpu) -> R) -> R {
        f(&mut self.0[current()].lock().unwrap())
    }

    /// The kernel loads what the engine said, with a root of its own or of the space.
    pub(super) fn load_root(&self, cr3: u64) {
        self.here(|cpu| {
            cpu.pcid = (cr3 & 0xfff) as usize;
            if cr3 >> 63 == 0 {
                cpu.cached[cpu.pcid] = [false; PAGES];
            }
        });
    }

    /// Whether the calling CPU has the page in its TLB, under the current identifier.
    pub(super) fn holds(&self, index: usize) -> bool {
        self.here(|cpu| cpu.cached[cpu.pcid][index])
    }

    /// The calling CPU, on the space's root, uses the page, as its TLB has it or as the walk finds it.
    pub(super) fn touch(&self, page: &Page, index: usize) {
        self.here(|cpu| {
            let cached = &mut cpu.cached[cpu.pcid][index];
            if *cached || page.is_mapped() {
                *cached = true;
                page.access();
            }
        });
    }
}

fn index_of(addr: u64) -> usize {
    (addr >> 12) as usize
}

// SAFETY: nothing but tests relies on it. Each method drops at least what the instruction of its name drops.
unsafe impl Instructions for Cpus {
    fn mfence(&self) {
        fence(Ordering::SeqCst);
    }

    fn invlpg(&self, addr: u64) {
        self.here(|cpu| cpu.cached[cpu.pcid][index_of(addr)] = false);
    }

    fn invpcid(&self, kind: u64, descriptor: [u64; 2]) {
        let (pcid, addr) = (descriptor[0] as usize, descriptor[1]);
        self.here(|cpu| match kind {
            0 => cpu.cached[pcid][index_of(addr)] = false,
            1 => cpu.cached[pcid] = [false; PAGES],
            _ => cpu.cached = Default::default(),
        });
    }

    fn read_cr3(&self) -> u64 {
        self.here(|cpu| cpu.pcid as u64)
    }

    fn write_cr3(&self, value: u64) {
        self.load_root(value);
    }

    /// PCIDE, PGE, PAE.
    fn read_cr4(&self) -> u64 {
        0x2_00a0
    }

    fn write_cr4(&self, _: u64) {
        self.here(|cpu| cpu.cached = Default::default());
    }

    /// RAX\[1\] is set: everything under one identifier, whichever pages are asked for.
    fn invlpgb(&self, rax: u64, _: u32, edx: u32) {
        assert_eq!(rax & 2, 2, "of one identifier");
        for cpu in &self.0 {
            cpu.lock().unwrap().cached[(edx >> 16) as usize] = [false; PAGES];
        }
    }

    fn tlbsync(&self) {}

    /// INVPCID and INVLPGB.
    fn cpuid(&self, leaf: u32, _: u32) -> CpuidAnswer {
        let (eax, ebx) = match leaf {
            0 => (7, 0),
            7 => (0, 1 << 10),
            0x8000_0000 => (0x8000_0008, 0),
            0x8000_0008 => (0, 1 << 3),
            _ => (0, 0),
        };
        CpuidAnswer {
            eax,
            ebx,
            ..CpuidAnswer::default()
        }
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

    fn send_nmi(&self, _targets: CpuMask<'_>) -> bool {
        true
    }

    fn relax(&self) {
        thread::yield_now();
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) space: Space,
    pub(super) pages: [Page; PAGES],
}

impl World {
    /// So many CPUs are online, on the kernel's root. The calling thread is CPU 0.
    pub(super) fn new(config: Config, cpus: usize) -> Arc<Self> {
        let engine = Engine::new(Host, Machine::new(Cpus::new(), config));
        for cpu in 0..cpus {
            become_cpu(cpu);
            engine.cpu_online().expect("there is room for three");
        }
        become_cpu(0);
        engine.arch().seal_features();
        let space = engine.new_space();
        Arc::new(Self {
            engine,
            space,
            pages: core::array::from_fn(|_| Page::new()),
        })
    }

    pub(super) fn switch(&self) {
        let id = self.engine.switch_to(&self.space).expect("live");
        self.engine.arch().instructions().load_root(id.0);
        self.engine.root_loaded();
    }

    pub(super) fn switch_to_kernel(&self) {
        let id = self.engine.switch_to_kernel();
        self.engine.arch().instructions().load_root(id.0);
        self.engine.root_loaded();
    }

    pub(super) fn touch(&self, page: usize) {
        let cpus = self.engine.arch().instructions();
        cpus.touch(&self.pages[page], page);
    }

    /// Unmaps the page, flushes it, and frees the frame if everybody has answered after so many looks.
    pub(super) fn unmap(&self, page: usize, looks: u32) {
        self.pages[page].unmap();
        let flush = Flush::page(VirtAddr::new((page as u64) << 12), PageSize::KIB_4);
        let mut ticket = self.engine.start(&self.space, flush).expect("live");
        if (0..looks).any(|_| ticket.poll().is_ready()) {
            self.pages[page].free();
        }
        // Who is not done must not wait here: loom's threads never spin.
        core::mem::forget(ticket);
    }
}

/// What the calling thread does as this CPU, before the threads begin.
pub(super) fn as_cpu(cpu: usize, f: impl FnOnce()) {
    become_cpu(cpu);
    f();
    become_cpu(0);
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
