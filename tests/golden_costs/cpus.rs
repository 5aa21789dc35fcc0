//! The CPUs' part: measured by the recorder behind the instructions, in the cost that the flush returns, and in the engine's
//! counters.

use super::{BROADCAST, LOCAL};
use std::sync::atomic::{AtomicU32, Ordering};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::Arch;
use tlb_shootdown::arch::Delivery;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::recorder::aarch64::{Identification, Recorder};

const BASIC: Config = Config::new(Granule::Kib4);

const REPEATS: Identification = Identification {
    midr: 0x412f_d050,
    ..Identification::FULL
};

pub(super) type Operation = fn(&Engine, &Space) -> Cost;
pub(super) type Row = (&'static str, Config, Identification, Operation, [u32; 4]);

const USER: u64 = 0x4000_0000;
const KERNEL: u64 = 0xffff_8000_0000_0000;

pub(super) fn kib4(start: u64, count: u64) -> PageRange {
    PageRange::from_len(VirtAddr::new(start), count << 12, PageSize::KIB_4).expect("a range")
}

pub(super) fn page(engine: &Engine, space: &Space) -> Cost {
    let cost = engine.flush_page(space, VirtAddr::new(USER), PageSize::KIB_4);
    cost.expect("no device and no CPU to wait for")
}

pub(super) fn block(engine: &Engine, space: &Space) -> Cost {
    let cost = engine.flush_page(space, VirtAddr::new(USER), PageSize::MIB_2);
    cost.expect("no device and no CPU to wait for")
}

pub(super) fn pages<const COUNT: u64>(engine: &Engine, space: &Space) -> Cost {
    let cost = engine.flush(space, Flush::pages(kib4(USER, COUNT)).leaf_only());
    cost.expect("no device and no CPU to wait for")
}

pub(super) fn space(engine: &Engine, space: &Space) -> Cost {
    let cost = engine.flush_space(space);
    cost.expect("no device and no CPU to wait for")
}

pub(super) fn upgrade(engine: &Engine, space: &Space) -> Cost {
    let flush = Flush::page(VirtAddr::new(USER), PageSize::KIB_4);
    let cost = engine.flush_upgrade(space, flush);
    cost.expect("no device and no CPU to wait for")
}

pub(super) fn spurious_fault(engine: &Engine, space: &Space) -> Cost {
    let cost = engine.fix_spurious_fault(space, VirtAddr::new(USER), PageSize::KIB_4);
    cost.expect("nothing to refuse")
}

pub(super) fn kernel_pages<const COUNT: u64>(engine: &Engine, _: &Space) -> Cost {
    let cost = engine.flush_kernel_range(kib4(KERNEL, COUNT));
    cost.expect("no CPU to wait for")
}

pub(super) fn kernel_tables(engine: &Engine, _: &Space) -> Cost {
    let cost = engine.flush_kernel_tables(kib4(KERNEL, 1));
    cost.expect("no device and no CPU to wait for")
}

pub(super) fn everything(engine: &Engine, _: &Space) -> Cost {
    engine.flush_all().expect("no CPU to wait for")
}

/// Pages that are reclaimed one after the other, and flushed as one batch.
pub(super) fn reclaim<const COUNT: u64>(engine: &Engine, space: &Space) -> Cost {
    let mut batch = Reclaim::<_, 1, 4>::new(engine);
    for page in 0..COUNT {
        let page = Flush::page(VirtAddr::new(USER + (page << 12)), PageSize::KIB_4);
        batch.add(space, page).expect("a place for one space");
    }
    batch.flush().expect("no CPU to wait for")
}

/// A host that plays one CPU at a time.
#[derive(Default)]
pub(super) struct Host(AtomicU32);

// SAFETY: one thread; nobody is pinned or interrupted.
unsafe impl Platform for Host {
    type Arch = Aarch64<Recorder, 1>;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.0.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, targets: CpuMask<'_>) {
        panic!("broadcasts need no interrupt, not even of {targets:?}");
    }
}

pub(super) type Engine = Shootdown<Host, 1>;
pub(super) type Space = AddressSpace<Aarch64<Recorder, 1>, 1>;

/// Two CPUs, of which `runners` have run the space; CPU 0 flushes.
pub(super) fn engine(config: Config, cpu: Identification, runners: u32) -> (Engine, Space) {
    let engine = Engine::new(Host::default(), Aarch64::new(Recorder::new(cpu), config));
    let space = engine.new_space();
    for index in [1, 0] {
        engine.platform().0.store(index, Ordering::Relaxed);
        engine.cpu_online().expect("CPUs 0 and 1 fit");
        if index < runners {
            engine.switch_to(&space).expect("an ASID is left");
        }
    }
    engine.arch().seal_features();
    engine.arch().instructions().take();
    (engine, space)
}

fn measure(row: &Row, runners: u32) {
    let &(name, config, cpu, operation, expected) = row;
    let (engine, space) = engine(config, cpu, runners);
    let before = engine.stats();
    let cost = operation(&engine, &space);
    let returned = [
        cost.store_barriers,
        cost.invalidations,
        cost.completion_barriers,
        cost.escalations,
    ];
    assert_eq!(returned, expected, "{name}: returned");
    let recorder = engine.arch().instructions();
    let stores = recorder.count("dsb ishst") + recorder.count("dsb nshst");
    let recorded = [
        stores,
        recorder.count("tlbi"),
        recorder.count("dsb") - stores,
    ];
    let expected = expected.map(|count| count as usize);
    assert_eq!(recorded, expected[..3], "{name}: recorded");
    assert_eq!(
        [
            cost.ipis,
            cost.commands,
            cost.syncs,
            cost.doorbells,
            cost.queue_barriers
        ],
        [0; 5],
        "{name}: devices and interrupts"
    );
    let after = engine.stats();
    if after.completed > before.completed {
        let counted = [
            after.store_barriers - before.store_barriers,
            after.invalidations - before.invalidations,
            after.completion_barriers - before.completion_barriers,
            after.escalations - before.escalations,
        ];
        let expected = expected.map(|count| count as u64);
        assert_eq!(counted, expected, "{name}: counted");
    } else {
        assert_eq!(name, "spurious fault", "a repair is no shootdown");
    }
}

#[test]
fn promise_11_costs_of_broadcasts() {
    for row in BROADCAST {
        measure(row, 2);
    }
}

#[test]
fn promise_12_costs_where_one_cpu_alone_ran_the_space() {
    for row in LOCAL {
        measure(row, 1);
        let (engine, space) = engine(row.1, row.2, 1);
        (row.3)(&engine, &space);
        let executed = engine.arch().instructions().take();
        // The store barrier is wide: whether the space is alone here is read after it.
        let broadcasts = executed
            .iter()
            .filter(|(name, _)| name.ends_with("is"))
            .count();
        assert_eq!(broadcasts, 0, "{}: {executed:x?}", row.0);
        assert_eq!(executed.first(), Some(&("dsb ishst", None)));
        assert_eq!(executed.last(), Some(&("dsb nsh", None)));
    }
}

/// A context switch pays one barrier for whatever the outgoing task had issued.
#[test]
fn promise_03_cost_of_a_context_switch() {
    let (engine, _) = engine(BASIC, REPEATS, 2);
    engine.before_migration();
    assert_eq!(engine.arch().instructions().take(), [("dsb ish", None)]);
    assert_eq!(engine.arch().delivery(None), Delivery::Broadcast);
}

/// The others look for a CPU that comes or goes: what it says of itself is theirs to see before it flushes (Arm ARM B2.3.12, the
/// barrier's domain), or one that looks in vain stays local while old entries are refilled.
#[test]
fn promise_02_a_cpu_that_comes_or_goes_is_visible_to_all_before_it_flushes() {
    let (engine, _) = engine(BASIC, Identification::FULL, 0);
    let flush = ["dsb ishst", "tlbi vmalle1", "dsb nsh", "isb"];
    let executed = || {
        let recorded = engine.arch().instructions().take();
        recorded.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    };
    engine.cpu_offline();
    assert_eq!(executed(), flush);
    engine.cpu_online().unwrap();
    assert_eq!(executed()[1..], flush);
}
