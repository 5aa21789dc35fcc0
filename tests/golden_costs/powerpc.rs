//! POWER: instructions and barriers, beside what Linux issues for the same.
//!
//! Linux' figures are counted from its source (`__radix__flush_tlb_range`, `_tlbie_pid`, `_tlbiel_pid`, `fixup_tlbie_*` in
//! `arch/powerpc/mm/book3s64/radix_tlb.c`; ceilings 33 and 256).

use std::sync::atomic::{AtomicU32, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::powerpc::{Config, PowerPc};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::recorder::powerpc::{POWER9, POWER10, Recorder};

/// Pages; `tlbiel`, `tlbie`, `tlbsync` and `ptesync`; the same four of Linux.
type Row = (u64, [usize; 4], [usize; 4]);

/// `munmap` of pages whose leaf entries alone have changed, of a process that this CPU alone has run.
#[rustfmt::skip]
const LOCAL_POWER10: &[Row] = &[
    (1,    [1, 0, 0, 2],    [1, 0, 0, 2]),
    (8,    [8, 0, 0, 2],    [8, 0, 0, 2]),
    (33,   [33, 0, 0, 2],   [33, 0, 0, 2]),
    (34,   [34, 0, 0, 2],   [34, 0, 0, 2]),
    (256,  [256, 0, 0, 2],  [256, 0, 0, 2]),
    (257,  [1, 0, 0, 2],    [1, 0, 0, 2]),
    (4096, [1, 0, 0, 2],    [1, 0, 0, 2]),
];

#[rustfmt::skip]
const LOCAL_POWER9: &[Row] = &[
    (1,    [1, 0, 0, 2],    [1, 0, 0, 2]),
    (256,  [256, 0, 0, 2],  [256, 0, 0, 2]),
    (257,  [128, 0, 0, 2],  [128, 0, 0, 2]),
    (4096, [128, 0, 0, 2],  [128, 0, 0, 2]),
];

/// Of a process that two CPUs run.
#[rustfmt::skip]
const BROADCAST_POWER10: &[Row] = &[
    (1,    [0, 1, 1, 2],    [0, 1, 1, 2]),
    (8,    [0, 8, 1, 2],    [0, 8, 1, 2]),
    (33,   [0, 33, 1, 2],   [0, 33, 1, 2]),
    (34,   [0, 1, 1, 2],    [0, 1, 1, 2]),
    (257,  [0, 1, 1, 2],    [0, 1, 1, 2]),
    (4096, [0, 1, 1, 2],    [0, 1, 1, 2]),
];

/// With both defects of `tlbie`.
#[rustfmt::skip]
const BROADCAST_POWER9: &[Row] = &[
    (1,    [0, 3, 1, 4],    [0, 3, 1, 4]),
    (8,    [0, 10, 1, 4],   [0, 10, 1, 4]),
    (33,   [0, 35, 1, 4],   [0, 35, 1, 4]),
    (34,   [0, 3, 1, 4],    [0, 3, 1, 4]),
    (257,  [0, 3, 1, 4],    [0, 3, 1, 4]),
    (4096, [0, 3, 1, 4],    [0, 3, 1, 4]),
];

type Machine = PowerPc<Recorder, 1>;
type Engine = Shootdown<Host, 1>;
type Space = AddressSpace<Machine, 1>;

#[derive(Default)]
struct Host(AtomicU32);

// SAFETY: one thread; nobody is pinned or interrupted.
unsafe impl Platform for Host {
    type Arch = Machine;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.0.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {}
}

fn machine(pvr: u32, cpus: u32) -> (Engine, Space) {
    let arch = PowerPc::new(Recorder::new(pvr), Config::hypervisor());
    let engine = Shootdown::new(Host::default(), arch);
    for cpu in 0..2 {
        engine.platform().0.store(cpu, Ordering::Relaxed);
        engine.cpu_online().expect("alike");
    }
    let space = engine.new_space();
    for cpu in (0..cpus).rev() {
        engine.platform().0.store(cpu, Ordering::Relaxed);
        engine.switch_to(&space).expect("live");
        engine.root_loaded();
    }
    engine.arch().instructions().take();
    (engine, space)
}

fn leaves(pages: u64) -> Flush {
    let start = VirtAddr::new(0x4000_0000);
    let range = PageRange::from_len(start, pages << 12, PageSize::KIB_4).expect("a range");
    Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4)
}

fn counts(engine: &Engine) -> [usize; 4] {
    let recorder = engine.arch().instructions();
    let counts = ["tlbiel", "tlbie ", "tlbsync", "ptesync"].map(|name| recorder.count(name));
    recorder.take();
    counts
}

/// The cost that the flush returns is what the recorder has seen.
fn agrees(cost: &Cost, [tlbiel, tlbie, _, ptesync]: [usize; 4]) -> bool {
    let barriers = cost.store_barriers + cost.completion_barriers;
    cost.invalidations as usize == tlbiel + tlbie && barriers as usize == ptesync
}

fn check(pvr: u32, cpus: u32, rows: &[Row]) {
    for (pages, expected, linux) in rows {
        let (engine, space) = machine(pvr, cpus);
        let cost = engine
            .flush(&space, leaves(*pages))
            .expect("nobody is waited for");
        let counted = counts(&engine);
        assert_eq!(counted, *expected, "{pages} pages");
        assert!(agrees(&cost, counted), "{pages} pages: {cost:?}");
        let never_more = counted
            .iter()
            .zip(linux)
            .all(|(ours, theirs)| ours <= theirs);
        assert!(never_more, "{pages} pages");
    }
}

#[test]
fn local_flushes_cost_what_the_table_says() {
    check(POWER10, 1, LOCAL_POWER10);
    check(POWER9, 1, LOCAL_POWER9);
}

#[test]
fn broadcasts_cost_what_the_table_says() {
    check(POWER10, 2, BROADCAST_POWER10);
    check(POWER9, 2, BROADCAST_POWER9);
}

/// A process that has moved once: broadcasts until its former CPU has let go, asked by one interrupt, then none. Linux asks at once where
/// one thread is left, waiting for the answer, and else after 1073 flushes.
#[test]
fn process_that_moved_costs_two_broadcasts_and_one_interrupt() {
    let (engine, space) = machine(POWER10, 2);
    let on = |cpu| engine.platform().0.store(cpu, Ordering::Relaxed);
    on(1);
    engine.switch_to_kernel();
    engine.root_loaded();
    on(0);
    engine.arch().instructions().take();
    let mut ipis = 0;
    let mut tlbies = 0;
    for flush in 0..1000 {
        ipis += engine
            .flush(&space, leaves(1))
            .expect("nobody is waited for")
            .ipis;
        tlbies += counts(&engine)[1];
        if flush == 1 {
            on(1);
            engine.on_ipi();
            on(0);
            engine.arch().instructions().take();
        }
    }
    assert_eq!((ipis, tlbies), (1, 2));
}

/// R pages apart, of one flush each way: Linux pays for every one of them on its own.
#[test]
fn gathered_ranges_share_their_barriers() {
    use tlb_shootdown::address::FlushRange;
    use tlb_shootdown::arch::{Arch, HardwareId, Issued, Reach};
    for ranges in [8, 32, 256] {
        let (engine, _space) = machine(POWER10, 2);
        let (arch, mut cost) = (engine.arch(), Cost::ZERO);
        arch.store_barrier(Reach::Broadcast, &mut cost);
        for _ in 0..ranges {
            let flush = leaves(1);
            if let FlushRange::Pages(pages) = flush.range() {
                let id = HardwareId(1);
                arch.flush_tlb_range(id, pages, (&flush).into(), Reach::Broadcast, &mut cost);
            }
        }
        let issued = (0..ranges).map(|_| Issued::User(HardwareId(1), leaves(1)));
        arch.complete_broadcast(issued, &mut cost)
            .expect("by instruction");
        assert_eq!(counts(&engine), [0, ranges, 1, 2]);
    }
}
