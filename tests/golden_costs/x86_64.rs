//! x86-64: interrupts and instructions of all CPUs together, beside what Linux 7.1 issues for the same.
//!
//! Linux' figures are counted from its source (`flush_tlb_mm_range`, `flush_tlb_func`, `broadcast_tlb_flush` in
//! `arch/x86/mm/tlb.c`; ceiling 33): one INVLPG for each page and CPU, or one full flush for each CPU.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::recorder::x86_64::{Identification, Recorder};

/// CPUs that run the space, pages; IPIs, INVLPGs, full flushes; the same three of Linux.
type Row = (u32, u64, [u32; 3], [u32; 3]);

/// `munmap` of pages whose leaf entries alone have changed, on CPUs that are asked.
#[rustfmt::skip]
const ASKED: &[Row] = &[
    (1,   1,    [0,   1,    0],   [0,   1,    0]),
    (1,   8,    [0,   8,    0],   [0,   8,    0]),
    (1,   33,   [0,   33,   0],   [0,   33,   0]),
    (1,   34,   [0,   0,    1],   [0,   0,    1]),
    (1,   4096, [0,   0,    1],   [0,   0,    1]),
    (2,   1,    [1,   2,    0],   [1,   2,    0]),
    (2,   8,    [1,   16,   0],   [1,   16,   0]),
    (2,   33,   [1,   66,   0],   [1,   66,   0]),
    (2,   34,   [1,   0,    2],   [1,   0,    2]),
    (2,   4096, [1,   0,    2],   [1,   0,    2]),
    (4,   1,    [3,   4,    0],   [3,   4,    0]),
    (4,   8,    [3,   32,   0],   [3,   32,   0]),
    (4,   33,   [3,   132,  0],   [3,   132,  0]),
    (4,   34,   [3,   0,    4],   [3,   0,    4]),
    (16,  1,    [15,  16,   0],   [15,  16,   0]),
    (16,  33,   [15,  528,  0],   [15,  528,  0]),
    (16,  34,   [15,  0,    16],  [15,  0,    16]),
    (64,  1,    [63,  64,   0],   [63,  64,   0]),
    (64,  34,   [63,  0,    64],  [63,  0,    64]),
    (256, 1,    [255, 256,  0],   [255, 256,  0]),
    (256, 33,   [255, 8448, 0],   [255, 8448, 0]),
    (256, 4096, [255, 0,    256], [255, 0,    256]),
];

/// The same where INVLPGB takes 8 addresses and the space has been given its common identifier: pages; INVLPGBs, TLBSYNCs, IPIs. Linux'
/// are the same.
const BROADCAST: &[(u64, [u32; 3])] = &[
    (1, [1, 1, 0]),
    (8, [1, 1, 0]),
    (9, [2, 1, 0]),
    (33, [5, 1, 0]),
    (34, [1, 1, 0]),
    (4096, [1, 1, 0]),
];

type Machine = X86_64<Recorder, 4>;
type Engine = Shootdown<Host, 4>;
type Space = AddressSpace<Machine, 4>;

const USER: u64 = 0x4000_0000;

#[derive(Default)]
struct Host {
    cpu: AtomicU32,
    /// How many CPUs each IPI call named.
    ipi_calls: Mutex<Vec<usize>>,
}

// SAFETY: one thread; nobody is pinned or interrupted.
unsafe impl Platform for Host {
    type Arch = Machine;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, targets: CpuMask<'_>) {
        match targets.iter().count() {
            0 => {}
            named => self.ipi_calls.lock().unwrap().push(named),
        }
    }
}

fn become_cpu(engine: &Engine, cpu: u32) {
    Recorder::run_on(cpu as usize);
    engine.platform().cpu.store(cpu, Ordering::Relaxed);
}

fn run(engine: &Engine, cpu: u32, space: &Space) {
    become_cpu(engine, cpu);
    engine.switch_to(space).expect("live");
    engine.root_loaded();
}

/// So many CPUs, all of which run the space; CPU 0 is the one to flush.
fn machine(cpu: Identification, cpus: u32) -> (Engine, Space) {
    let arch = X86_64::new(Recorder::new(cpu), Config::new());
    let engine = Engine::new(Host::default(), arch);
    for index in 0..cpus {
        become_cpu(&engine, index);
        engine.cpu_online().expect("there is room");
    }
    engine.arch().seal_features();
    let space = engine.new_space();
    for index in (0..cpus).rev() {
        run(&engine, index, &space);
    }
    engine.arch().instructions().take();
    (engine, space)
}

fn pages(count: u64) -> Flush {
    let range = PageRange::from_len(VirtAddr::new(USER), count << 12, PageSize::KIB_4);
    Flush::pages(range.expect("a range"))
}

/// CPU 0 flushes and everybody answers.
fn flush(engine: &Engine, space: &Space, flush: Flush) -> Cost {
    become_cpu(engine, 0);
    let ticket = engine.start(space, flush).expect("live");
    for cpu in engine.online_cpus().iter() {
        become_cpu(engine, cpu.index() as u32);
        engine.on_ipi();
    }
    become_cpu(engine, 0);
    ticket.wait().expect("everybody has answered")
}

/// How many instructions of this name all CPUs executed.
fn count(engine: &Engine, name: &str) -> u32 {
    let executed = engine.arch().instructions().take();
    executed.iter().filter(|(of, _)| *of == name).count() as u32
}

/// An engine for 256 CPUs is more than a test's stack holds several times over.
fn with_room(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    thread.spawn(test).unwrap().join().unwrap();
}

#[test]
fn promise_11_costs_on_cpus_that_are_asked_are_never_more_than_linux() {
    with_room(|| {
        for &(cpus, length, expected, linux) in ASKED {
            let (engine, space) = machine(Identification::FULL, cpus);
            let cost = flush(&engine, &space, pages(length).leaf_only());
            let executed = engine.arch().instructions().take();
            let of = |name| executed.iter().filter(|(of, _)| *of == name).count() as u32;
            let counted = [cost.ipis, of("invlpg"), of("mov cr3")];
            assert_eq!(counted, expected, "{cpus} CPUs, {length} pages");
            assert!(
                counted
                    .iter()
                    .zip(linux)
                    .all(|(ours, theirs)| *ours <= theirs)
            );
            // Nothing else, and one call for the whole set.
            let barriers = of("mfence");
            assert_eq!(barriers + counted[1] + counted[2], executed.len() as u32);
            assert_eq!((barriers, cost.store_barriers), (1, 1));
            let calls = engine.platform().ipi_calls.lock().unwrap();
            assert_eq!(calls.len(), usize::from(cpus > 1));
            assert_eq!(cost.invalidations, (expected[1] + expected[2]) / cpus);
        }
    });
}

#[test]
fn promise_11_costs_of_invlpgb() {
    with_room(|| {
        let (engine, space) = machine(Identification::BROADCASTS, 4);
        for _ in 0..3 {
            flush(&engine, &space, pages(1).leaf_only());
        }
        for &(length, expected) in BROADCAST {
            engine.arch().instructions().take();
            let cost = flush(&engine, &space, pages(length).leaf_only());
            let counted = [cost.invalidations, cost.completion_barriers, cost.ipis];
            assert_eq!(counted, expected, "{length} pages");
            assert_eq!(count(&engine, "invlpgb"), expected[0], "{length} pages");
        }
    });
}

/// Lazy CPUs are asked only where tables are freed, and only the first time; a CPU that has switched away never is.
#[test]
fn promise_12_costs_of_cpus_that_do_not_run_the_space() {
    with_room(|| {
        let (engine, space) = machine(Identification::FULL, 8);
        for cpu in 4..8 {
            become_cpu(&engine, cpu);
            engine.enter_lazy();
        }
        let ipis = |length: Flush| flush(&engine, &space, length).ipis;
        assert_eq!(ipis(pages(1).leaf_only()), 3);
        assert_eq!(ipis(pages(1)), 7);
        for cpu in 1..4 {
            become_cpu(&engine, cpu);
            engine.switch_to_kernel();
            engine.root_loaded();
        }
        assert_eq!(ipis(pages(1)), 0);
        assert_eq!(space.cpus().len(), 1);
    });
}

/// On its way back from a kernel thread a CPU loads one generation, and flushes only where it is behind.
#[test]
fn promise_12_costs_of_waking_from_laziness() {
    with_room(|| {
        let (engine, space) = machine(Identification::FULL, 2);
        let wake = || {
            become_cpu(&engine, 1);
            engine.enter_lazy();
            let id = engine.switch_to(&space).expect("live");
            engine.root_loaded();
            id.0 >> 63
        };
        assert_eq!(wake(), 1);
        become_cpu(&engine, 1);
        engine.enter_lazy();
        for _ in 0..10 {
            assert_eq!(flush(&engine, &space, pages(1).leaf_only()).ipis, 0);
        }
        assert_eq!(wake(), 0);
        assert_eq!(wake(), 1);
    });
}
