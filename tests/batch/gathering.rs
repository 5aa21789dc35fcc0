//! Unmap, flush, free.

use crate::support::{Answer, Event, FakeTlb, Machine, Op, Sink, Space, page, pages};
use tlb_shootdown::address::{FlushRange, PageSize, PhysAddr};
use tlb_shootdown::batch::{Gather, GatherError};
use tlb_shootdown::error::{FlushError, Incomplete, Refused};
use tlb_shootdown::flush::{Depth, Flush};
use tlb_shootdown::secondary::{AttachKey, Invalidation, Needs};
use tlb_shootdown::ticket::{FrameSink, Frames, Item};

const SIZE: PageSize = PageSize::KIB_4;

/// Two CPUs that run a space with pages 0 to 15 mapped, all of which CPU 1 has cached.
fn machine(
    broadcasts: bool,
) -> (
    &'static Machine,
    &'static crate::support::Engine,
    &'static Space,
) {
    let (machine, engine) = Machine::booting(2, broadcasts, 50);
    for cpu in 0..2 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let space = machine.new_space();
    for page in 0..16 {
        machine.map(space, page, 1);
        machine.run_on(space, [0, 1], page);
    }
    machine.journal.take();
    (machine, engine, space)
}

fn frame(n: u64) -> Option<PhysAddr> {
    Some(PhysAddr::new(0x10_0000 + (n << 12)))
}

fn stale(machine: &Machine, space: &Space, page: u64) -> bool {
    machine.cached(space, page)[1].is_some()
}

/// One shootdown for the operation, and nothing free before.
#[test]
fn promise_04_unmap_is_one_shootdown_and_frees_afterwards() {
    for broadcasts in [true, false] {
        let (machine, engine, space) = machine(broadcasts);
        let sink = Sink::new();
        let mut gather = Gather::new(engine, space, Frames::inline::<16>(sink)).unwrap();
        for n in 2..10 {
            machine.unmap(space, n);
            gather.unmap(page(n), SIZE, frame(n)).unwrap();
        }
        assert_eq!(machine.journal.take(), []);
        assert_eq!(sink.released(), (0, 0));
        let cost = gather.finish().unwrap();
        assert_eq!(
            (cost.store_barriers, cost.ipis),
            (1, u32::from(!broadcasts))
        );
        assert_eq!(sink.released(), (8, 0));
        assert!((2..10).all(|n| !stale(machine, space, n)));
        assert!(stale(machine, space, 11), "nobody asked for that one");
    }
}

/// Tables drop walk caches, at every secondary TLB as well, and come back by their own way.
#[test]
fn promise_08_freed_tables_are_flushed_as_tables() {
    let (machine, engine, space) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(space, iommu, AttachKey(1)).unwrap();
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<4>(sink)).unwrap();
    gather.unmap(page(3), SIZE, frame(3)).unwrap();
    gather
        .free_table(pages(0, 511), PhysAddr::new(0x5000))
        .unwrap();
    gather.finish().unwrap();
    assert_eq!(sink.released(), (1, 1));
    let deep = |op: &Op| matches!(op, Op::Invalidate(Invalidation::Space { flush, .. }) if flush.depth() == Depth::Tables);
    assert!(iommu.queued().iter().any(deep));
}

/// Pages of several sizes keep their promises apart.
#[test]
fn promise_11_sizes_are_not_mixed() {
    let (machine, engine, space) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(space, iommu, AttachKey(1)).unwrap();
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<4>(sink)).unwrap();
    gather.unmap(page(511), SIZE, None).unwrap();
    gather.unmap(page(512), PageSize::MIB_2, None).unwrap();
    gather.finish().unwrap();
    let sizes: Vec<_> = iommu
        .queued()
        .iter()
        .map(|op| match op {
            Op::Invalidate(Invalidation::Space { flush, .. }) => flush.known_leaf_size(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [Some(SIZE), Some(PageSize::MIB_2)]);
}

/// An operation that lets go of its lock flushes in between; the cost at the end is that of both flushes.
#[test]
fn promise_04_flush_in_between_frees_and_goes_on() {
    let (machine, engine, space) = machine(true);
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<4>(sink)).unwrap();
    let mut unmap = |n, expected: &[u64]| {
        machine.unmap(space, n);
        gather.unmap(page(n), SIZE, frame(n)).unwrap();
        assert!(stale(machine, space, n));
        let cost = match expected {
            [_] => gather.flush(),
            _ => gather.finish(),
        };
        let freed: Vec<_> = (0..16).filter(|&n| !stale(machine, space, n)).collect();
        assert_eq!(freed, expected);
        assert_eq!(sink.released(), (expected.len(), 0));
        cost.unwrap().store_barriers
    };
    assert_eq!(unmap(2, &[2]), 1);
    assert_eq!(unmap(3, &[2, 3]), 2);
}

/// The storage is full: what it holds is flushed early, and the operation goes on.
#[test]
fn promise_05_full_storage_flushes_early_and_loses_nothing() {
    let (machine, engine, space) = machine(true);
    let sink = Sink::new();
    let mut storage = [Item::Table {
        base: PhysAddr::new(0),
    }; 3];
    let frames = Frames::in_storage(sink, &mut storage);
    let mut gather = Gather::new(engine, space, frames).unwrap();
    for n in 0..8 {
        machine.unmap(space, n);
        gather.unmap(page(n), SIZE, frame(n)).unwrap();
        // What is free by now nobody can use.
        let (free, _) = sink.released();
        assert!((0..free as u64).all(|n| !stale(machine, space, n)));
    }
    assert_eq!(sink.released().0, 6);
    let cost = gather.finish().unwrap();
    assert_eq!((sink.released().0, cost.store_barriers), (8, 3));
}

/// Another operation has cleared an entry that this one then found missing, and has not flushed it yet.
#[test]
fn promise_03_nested_gathers_flush_what_the_other_has_cleared() {
    let (machine, engine, space) = machine(true);
    let [one, other] = [Sink::new(), Sink::new()];
    let mut first = Gather::new(engine, space, Frames::inline::<4>(one)).unwrap();
    machine.unmap(space, 3);
    first.unmap(page(3), SIZE, frame(3)).unwrap();
    let mut second = Gather::new(engine, space, Frames::inline::<4>(other)).unwrap();
    // It finds page 3 unmapped, and has nothing of its own to do there.
    machine.unmap(space, 4);
    second.unmap(page(4), SIZE, frame(4)).unwrap();
    second.finish().unwrap();
    assert!(!stale(machine, space, 3), "its caller may rely on that");
    assert_eq!((one.released().0, other.released().0), (0, 1));
    first.finish().unwrap();
    assert_eq!(one.released().0, 1);
    // One after the other they flush what is their own.
    let mut third = Gather::new(engine, space, Frames::inline::<4>(one)).unwrap();
    machine.unmap(space, 5);
    third.unmap(page(5), SIZE, None).unwrap();
    third.finish().unwrap();
    assert!(!stale(machine, space, 5));
}

/// A last flush that was let go may have ended the gather, which nobody is told: what goes into it after that is pending all the same.
#[test]
fn promise_03_gather_that_goes_on_after_its_end_is_open_again() {
    let (machine, engine, space) = machine(true);
    let [one, other] = [Sink::new(), Sink::new()];
    let mut first = Gather::new(engine, space, Frames::inline::<4>(one)).unwrap();
    drop(first.start_finish().unwrap());
    assert!(!space.is_flush_pending());
    machine.unmap(space, 3);
    first.unmap(page(3), SIZE, frame(3)).unwrap();
    let mut second = Gather::new(engine, space, Frames::inline::<4>(other)).unwrap();
    second.finish().unwrap();
    assert!(!stale(machine, space, 3), "its caller may rely on that");
    drop(second);
    first.finish().unwrap();
    assert_eq!(one.released().0, 1);
    assert!(!space.is_flush_pending());
    assert!(engine.retire(space).unwrap().wait().is_ok());
    let refused = first.unmap(page(4), SIZE, frame(4));
    assert_eq!(refused, Err(GatherError::Refused(Refused::Retired)));
}

/// Nothing was found to unmap, but another may have been there first.
#[test]
fn promise_03_empty_gather_flushes_only_beside_another() {
    let (machine, engine, space) = machine(true);
    let sink = Sink::new();
    let mut alone = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    assert_eq!(alone.finish().unwrap().store_barriers, 0);
    let _other = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    let mut beside = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    machine.journal.take();
    assert_eq!(beside.finish().unwrap().store_barriers, 1);
}

/// Beside another gather everything is flushed, and a device that is told of additions at once is told by that flush: its start waits for nobody.
#[test]
fn promise_12_start_of_the_last_flush_does_not_wait() {
    let (machine, engine, space) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::AT_ADD);
    let _attached = engine.attach(space, iommu, AttachKey(1)).unwrap();
    iommu.answer(Answer::Never);
    let sink = Sink::new();
    let _other = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    let mut beside = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    machine.journal.take();
    let mut last = beside.start_finish().unwrap();
    let events = machine.journal.take();
    assert!(!events.contains(&Event::Poll("iommu")), "{events:?}");
    assert!(events.contains(&Event::Queue("iommu")), "{events:?}");
    assert!(last.poll().is_pending());
    iommu.answer(Answer::AtOnce);
    assert!(last.poll().is_ready());
}

/// The end of a process: everything at once, and then the space itself.
#[test]
fn promise_07_open_gather_keeps_the_space_from_ending() {
    let (_, engine, space) = machine(true);
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<4>(sink)).unwrap();
    assert_eq!(
        engine.retire(space).err(),
        Some(Refused::Deferred),
        "empty yet"
    );
    gather.change(Flush::all()).unwrap();
    assert!(space.is_flush_pending());
    assert_eq!(engine.retire(space).err(), Some(Refused::Deferred));
    gather.finish().unwrap();
    assert!(!space.is_flush_pending());
    assert!(engine.retire(space).unwrap().wait().is_ok());
    let refused = Gather::new(engine, space, Frames::inline::<4>(sink)).err();
    assert_eq!(refused, Some(Refused::Retired));
    assert!(!space.is_flush_pending());
}

/// A CPU that does not answer: nothing comes free, the gather can be finished again.
#[test]
fn promise_04_time_out_keeps_the_memory() {
    let (machine, engine, space) = machine(false);
    let sink = Sink::new();
    machine.set_auto(1, false);
    let mut gather = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    machine.unmap(space, 3);
    gather.unmap(page(3), SIZE, frame(3)).unwrap();
    machine.unmap(space, 4);
    let error = gather.unmap(page(4), SIZE, frame(4)).unwrap_err();
    assert!(matches!(
        error,
        GatherError::Incomplete(FlushError::Incomplete(_))
    ));
    assert!(gather.finish().is_err());
    assert_eq!(sink.released().0, 0);
    machine.set_auto(1, true);
    gather.finish().unwrap();
    assert_eq!(sink.released().0, 1, "the other is the caller's");
    assert!(!stale(machine, space, 4));
}

#[test]
fn promise_04_dropped_gather_finishes_or_goes_to_quarantine() {
    let (machine, engine, space) = machine(false);
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    machine.unmap(space, 3);
    gather.unmap(page(3), SIZE, frame(3)).unwrap();
    drop(gather);
    assert_eq!(sink.released().0, 1);
    machine.set_auto(1, false);
    let mut gather = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    machine.unmap(space, 4);
    gather.unmap(page(4), SIZE, frame(4)).unwrap();
    drop(gather);
    assert_eq!(sink.released().0, 1);
    assert_eq!(sink.quarantined.lock().unwrap().len(), 1);
    assert!(
        space.is_flush_pending(),
        "for ever: it is not known to be flushed"
    );
}

#[test]
fn storage_without_a_place_is_refused() {
    let (machine, engine, space) = machine(true);
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<0>(sink)).unwrap();
    machine.unmap(space, 3);
    let error = gather.unmap(page(3), SIZE, frame(3));
    assert_eq!(error, Err(GatherError::NoStorage));
    assert!(!stale(machine, space, 3), "flushed all the same");
}

/// A device that does not answer in time at the flush keeps everything where it is.
#[test]
fn promise_04_silent_device_keeps_the_memory() {
    let (machine, engine, space) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(space, iommu, AttachKey(1)).unwrap();
    iommu.answer(Answer::Never);
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    gather.unmap(page(3), SIZE, frame(3)).unwrap();
    let FlushError::Incomplete(Incomplete { secondaries, .. }) = gather.finish().unwrap_err()
    else {
        panic!("issued");
    };
    assert_eq!((secondaries, sink.released().0), (1, 0));
    iommu.answer(Answer::AtOnce);
    gather.finish().unwrap();
    assert_eq!(sink.released().0, 1);
}

/// Writes down the order in which a dirty page is let go of.
#[derive(Default)]
struct Order(std::sync::Mutex<Vec<&'static str>>);

impl FrameSink<1> for Order {
    fn release_frame(&self, _: PhysAddr, _: PageSize) {
        self.0.lock().unwrap().push("frame");
    }

    fn remove_reverse_map(&self, _: PhysAddr, _: PageSize) {
        self.0.lock().unwrap().push("reverse map");
    }

    fn release_table(&self, _: PhysAddr) {}

    fn quarantine(&self, _: &[Item], _: &Incomplete<1>) {}
}

/// Whoever cleans a page finds it by its reverse mapping for as long as it can be written through a stale entry.
#[test]
fn promise_03_reverse_mapping_outlives_the_last_writable_entry() {
    let (machine, engine, space) = machine(true);
    let order: &'static Order = Box::leak(Box::default());
    let mut gather = Gather::new(engine, space, Frames::inline::<2>(order)).unwrap();
    machine.unmap(space, 3);
    gather
        .unmap_dirty(page(3), SIZE, PhysAddr::new(0x3000))
        .unwrap();
    gather.unmap(page(5), SIZE, frame(5)).unwrap();
    assert_eq!(*order.0.lock().unwrap(), [""; 0]);
    gather.finish().unwrap();
    assert!(!stale(machine, space, 3));
    assert_eq!(*order.0.lock().unwrap(), ["reverse map", "frame", "frame"]);
}

/// The range between scattered pages is asked for only once there are more runs than places.
#[test]
fn promise_11_many_runs_are_merged_upward_and_counted() {
    let (machine, engine, space) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(space, iommu, AttachKey(1)).unwrap();
    let sink = Sink::new();
    let mut gather = Gather::new(engine, space, Frames::inline::<1>(sink)).unwrap();
    for n in 0..9 {
        gather.unmap(page(n * 4), SIZE, None).unwrap();
    }
    let cost = gather.finish().unwrap();
    assert_eq!((cost.escalations, cost.commands, cost.syncs), (1, 8, 1));
    let covers = |n| {
        iommu.queued().iter().any(|op| match op {
            Op::Invalidate(Invalidation::Space { flush, .. }) => match flush.range() {
                FlushRange::Pages(pages) => pages.contains(page(n)),
                FlushRange::All => true,
            },
            _ => false,
        })
    };
    assert!((0..9).all(|n| covers(n * 4)));
    assert!(!machine.journal.take().contains(&Event::Release("iommu")));
}
