//! The part of devices behind OpenCAPI links: counted by the scripted nest MMUs and in the cost that the flush returns.

use super::atsd::{Around, Atsd, Barriers, Event};
use super::cpus::{Engine, Operation, Space, engine, kib4};
use super::regions::region;
use super::ring_lock::Lock;
use super::{BASIC, FULL, OCXL};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::ocxl::{Config, Context, FunctionId, Link, Mode, Pasid, Pid, Process};
use tlb_shootdown::secondary::AttachKey;

/// How many links, with how many contexts of the process on each, and whether they snoop.
pub(super) type OcxlRow = (&'static str, u32, u32, bool, Operation, [u32; 5]);

type Driver = Link<Atsd, Barriers, Lock, Around>;

/// So many leaf entries of a size that the flush promises.
fn leaves(engine: &Engine, space: &Space, count: u64, size: PageSize) -> Cost {
    let start = VirtAddr::new(0x4000_0000);
    let range = PageRange::from_len(start, count << size.shift(), size).expect("a range");
    let flush = Flush::pages(range).leaf_only().leaf_size(size);
    let cost = engine.flush(space, flush);
    cost.expect("every link answers")
}

pub(super) fn kib4_leaves<const COUNT: u64>(engine: &Engine, space: &Space) -> Cost {
    leaves(engine, space, COUNT, PageSize::KIB_4)
}

pub(super) fn kib64_leaves<const COUNT: u64>(engine: &Engine, space: &Space) -> Cost {
    leaves(engine, space, COUNT, PageSize::KIB_64)
}

pub(super) fn mib2_leaves<const COUNT: u64>(engine: &Engine, space: &Space) -> Cost {
    leaves(engine, space, COUNT, PageSize::MIB_2)
}

pub(super) fn gib1_leaves<const COUNT: u64>(engine: &Engine, space: &Space) -> Cost {
    leaves(engine, space, COUNT, PageSize::GIB_1)
}

/// Tables freed with a page.
pub(super) fn table(engine: &Engine, space: &Space) -> Cost {
    let cost = engine.flush(space, Flush::pages(kib4(0x4000_0000, 1)));
    cost.expect("every link answers")
}

/// One link, and one process on it.
fn link(contexts: u32, snooping: bool) -> (Atsd, &'static Driver, AttachKey) {
    let unit = Atsd::new();
    let spa = region(64 * 128, 0x1000);
    unit.inner().spa = spa.phys().raw();
    let mode = match snooping {
        true => Mode::Snooping,
        false => Mode::Atsd(unit.clone()),
    };
    let around = Around {
        unit: unit.clone(),
        lock: None,
    };
    let barriers = Barriers(unit.clone());
    let config = Config::power10();
    let driver = Driver::new(mode, barriers, Lock::default(), spa, around, config);
    let driver: &'static Driver = Box::leak(Box::new(driver.expect("a whole link")));
    let contexts: Vec<_> = (0..contexts)
        .map(|pasid| Context {
            pasid: Pasid::new(pasid).expect("a small number"),
            function: FunctionId(8),
            thread: 0,
            amr: 0,
        })
        .collect();
    let process = Process {
        pid: Pid::new(0x42).expect("not the kernel's"),
        lpid: 0,
        wide: true,
        tag_checks: false,
    };
    let key = driver.reserve(&contexts, &process).expect("free contexts");
    (unit, driver, key)
}

/// What the units have counted: launches, barriers.
fn take_counts(units: &[Atsd]) -> [u32; 2] {
    let mut counts = [0; 2];
    for unit in units {
        let mut inner = unit.inner();
        let log = inner.take_log();
        let launches = log.iter().filter(|e| matches!(e, Event::Launch(..)));
        counts[0] += launches.count() as u32;
        counts[1] += std::mem::take(&mut inner.barriers);
    }
    counts
}

#[test]
fn promise_11_costs_of_devices_behind_opencapi_links() {
    for &(name, links, contexts, snooping, operation, expected) in OCXL {
        let (engine, space) = engine(BASIC, FULL, 2);
        let mut units = Vec::new();
        for _ in 0..links {
            let (unit, driver, key) = link(contexts, snooping);
            let _attached = engine
                .attach(&space, driver, key)
                .expect("a free place for a link");
            driver.install(key).expect("still there");
            units.push(unit);
        }
        take_counts(&units);
        let cost = operation(&engine, &space);
        let returned = [
            cost.commands,
            cost.syncs,
            cost.doorbells,
            cost.queue_barriers,
            cost.escalations,
        ];
        assert_eq!(returned, expected, "{name}: returned");
        let [launches, barriers] = take_counts(&units);
        let counted = [launches, 0, launches, barriers];
        assert_eq!(counted, expected[..4], "{name}: counted by the units");
        engine
            .release(&space)
            .expect("every link answers, and the space may go");
    }
}
