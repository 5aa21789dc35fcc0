//! One round for all spaces, CPUs and devices together.

use crate::support::{Answer, Engine, Event, FakeTlb, Machine, Op, Space, leaf, pages};
use std::sync::atomic::Ordering;
use tlb_shootdown::address::{FlushRange, PageSize};
use tlb_shootdown::arch::{Presence, Reach};
use tlb_shootdown::batch::{AddError, Reclaim};
use tlb_shootdown::error::{FlushError, Refused};
use tlb_shootdown::flush::{Depth, Flush};
use tlb_shootdown::secondary::{AttachKey, Invalidation, Needs, SecondaryError};

type Batch = Reclaim<'static, crate::support::Host, 1, 4>;

/// Four CPUs; CPU `n` and CPU 0 run space `n`, each with page 7 cached.
fn machine(broadcasts: bool) -> (&'static Machine, &'static Engine, [&'static Space; 3]) {
    let (machine, engine) = Machine::new(4, broadcasts);
    let spaces = [(); 3].map(|()| machine.new_space());
    for (space, cpu) in spaces.iter().zip(1..) {
        machine.map(space, 7, 1);
        machine.run_on(space, [0, cpu], 7);
    }
    machine.journal.take();
    (machine, engine, spaces)
}

fn unmap_all(machine: &Machine, batch: &mut Batch, spaces: &[&'static Space]) {
    for space in spaces {
        machine.unmap(space, 7);
        batch.add(space, leaf(7)).unwrap();
    }
}

fn count(events: &[Event], wanted: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| wanted(event)).count()
}

#[test]
fn promise_12_adding_issues_nothing() {
    for broadcasts in [true, false] {
        let (machine, engine, spaces) = machine(broadcasts);
        let mut batch = Batch::new(engine);
        unmap_all(machine, &mut batch, &spaces);
        assert_eq!(machine.journal.take(), []);
        assert_eq!(machine.cached(spaces[0], 7)[0], Some(1), "not flushed yet");
        batch.flush().unwrap();
    }
}

/// One store barrier, everything issued, one completion.
#[test]
fn promise_01_broadcasts_of_all_spaces_share_the_barriers() {
    let (machine, engine, spaces) = machine(true);
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces);
    let cost = batch.flush().unwrap();
    let events = machine.journal.take();
    assert_eq!(events[0], Event::StoreBarrier);
    assert_eq!(count(&events, |event| *event == Event::StoreBarrier), 1);
    assert_eq!(
        count(&events, |event| *event == Event::Issue(Reach::Broadcast)),
        3
    );
    assert_eq!(events.last(), Some(&Event::Complete(Reach::Broadcast)));
    assert_eq!(
        (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers,
            cost.ipis
        ),
        (1, 3, 1, 0)
    );
    for space in spaces {
        assert_eq!(machine.cached(space, 7), [None; 4]);
    }
}

/// The union of the CPUs is interrupted once.
#[test]
fn promise_03_cpus_of_all_spaces_are_asked_in_one_round() {
    let (machine, engine, spaces) = machine(false);
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces);
    let cost = batch.flush().unwrap();
    let events = machine.journal.take();
    let rounds = count(&events, |event| matches!(event, Event::Ipi(_)));
    assert!(events.contains(&Event::Ipi(vec![1, 2, 3])));
    assert_eq!((rounds, cost.ipis), (1, 3));
    for space in spaces {
        assert_eq!(machine.cached(space, 7), [None; 4]);
    }
}

/// Of one space alone it is known what changed.
#[test]
fn promise_11_batch_of_one_space_is_an_ordinary_request() {
    let (machine, engine, spaces) = machine(false);
    machine.map(spaces[0], 9, 1);
    machine.run_on(spaces[0], [1], 9);
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces[..1]);
    batch.flush().unwrap();
    assert_eq!(machine.cached(spaces[0], 7), [None; 4]);
    assert_eq!(machine.cached(spaces[0], 9)[1], Some(1), "not asked for");
}

/// What one CPU alone has run stays local, beside spaces that do not.
#[test]
fn promise_03_each_space_has_the_reach_that_it_needs() {
    let (machine, engine, spaces) = machine(true);
    let alone = machine.new_space();
    machine.map(alone, 7, 1);
    machine.run_on(alone, [0], 7);
    machine.journal.take();
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &[alone, spaces[1]]);
    batch.flush().unwrap();
    let events = machine.journal.take();
    for reach in [Reach::Local, Reach::Broadcast] {
        assert_eq!(count(&events, |event| *event == Event::Issue(reach)), 1);
        assert_eq!(count(&events, |event| *event == Event::Complete(reach)), 1);
    }
    assert_eq!(machine.cached(alone, 7), [None; 4]);
}

/// Each device gets one submission and one wait, whatever the number of spaces; all are rung before any CPU is waited for.
#[test]
fn promise_03_device_is_sealed_once_for_all_spaces() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    for space in spaces {
        let key = AttachKey(space.id().raw());
        let _attached = engine.attach(space, iommu, key).unwrap();
        iommu.start_walks(key.0);
        assert_eq!(iommu.read(key.0, 7), Some(1));
    }
    machine.journal.take();
    iommu.answer(Answer::After(3));
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces);
    let cost = batch.flush().unwrap();
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 1, 1));
    let events = machine.journal.take();
    let sealed = events
        .iter()
        .position(|event| *event == Event::Seal("iommu"));
    let issued = events
        .iter()
        .position(|event| matches!(event, Event::Issue(_)));
    assert!(sealed < issued, "started before anybody is waited for");
    assert_eq!(count(&events, |event| *event == Event::Seal("iommu")), 1);
    for space in spaces {
        assert_eq!(iommu.read(space.id().raw(), 7), None);
    }
}

/// A secondary TLB that snoops comes after the CPUs' completion.
#[test]
fn promise_03_snooping_device_comes_after_the_broadcast() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::SNOOPS_BROADCASTS);
    let _attached = engine.attach(spaces[0], iommu, AttachKey(1)).unwrap();
    machine.journal.take();
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces);
    batch.flush().unwrap();
    let events = machine.journal.take();
    let complete = events
        .iter()
        .position(|event| *event == Event::Complete(Reach::Broadcast));
    let queued = events
        .iter()
        .position(|event| *event == Event::Queue("iommu"));
    assert!(complete < queued);
}

/// One that cannot wait is told when the change is added, and not again.
#[test]
fn promise_03_device_that_cannot_wait_is_told_at_add() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::AT_ADD);
    let space = spaces[0];
    let key = AttachKey(space.id().raw());
    let _attached = engine.attach(space, iommu, key).unwrap();
    iommu.start_walks(key.0);
    iommu.read(key.0, 7);
    machine.journal.take();
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &[space]);
    assert_eq!(iommu.read(key.0, 7), None, "not in a batch");
    assert_eq!(machine.journal.take()[0], Event::StoreBarrier);
    assert_eq!(machine.cached(space, 7)[0], Some(1));
    let cost = batch.flush().unwrap();
    assert_eq!(iommu.queued().len(), 1);
    // The notice and the round.
    assert_eq!((cost.store_barriers, cost.commands, cost.syncs), (2, 1, 1));
    assert_eq!(engine.stats().store_barriers, 2);
    batch.add(space, leaf(9)).unwrap();
    assert_eq!(batch.flush().unwrap().commands, 1, "each is told once");
}

/// It does not answer: the change is in the batch all the same, the caller is told, and so is the device once more by the flush, which is
/// not complete without it.
#[test]
fn promise_04_device_that_does_not_answer_at_add_is_named() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::AT_ADD);
    let _attached = engine.attach(spaces[0], iommu, AttachKey(1)).unwrap();
    iommu.answer(Answer::Error(SecondaryError::QueueStopped));
    let mut batch = Batch::new(engine);
    machine.unmap(spaces[0], 7);
    let error = batch.add(spaces[0], leaf(7)).unwrap_err();
    let AddError::Incomplete(incomplete) = error else {
        panic!("{error:?}");
    };
    assert_eq!(incomplete.error, Some(SecondaryError::QueueStopped));
    assert!(!batch.is_empty());
    let error = batch.flush().unwrap_err();
    assert!(matches!(error, FlushError::Incomplete(incomplete) if incomplete.secondaries == 1));
    iommu.answer(Answer::AtOnce);
    batch.flush().unwrap();
    assert_eq!(iommu.queued().len(), 3, "at add, and by each flush");
    assert_eq!(machine.cached(spaces[0], 7), [None; 4]);
}

/// Changes side by side are one; others are told each for itself, in one submission, as long as there are places.
#[test]
fn promise_11_scattered_pages_are_flushed_and_nothing_between_them() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(spaces[0], iommu, AttachKey(1)).unwrap();
    machine.journal.take();
    let mut batch = Batch::new(engine);
    for page in [7, 3, 8, 20, 6] {
        batch.add(spaces[0], leaf(page)).unwrap();
    }
    let cost = batch.flush().unwrap();
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 1, 1));
    assert_eq!((cost.invalidations, cost.completion_barriers), (3, 1));
    assert_eq!(cost.escalations, 0);
    let told: Vec<_> = iommu
        .queued()
        .iter()
        .map(|op| match op {
            Op::Invalidate(Invalidation::Space { flush, .. }) => *flush.range(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [pages(6, 8), pages(3, 3), pages(20, 20)].map(FlushRange::Pages);
    assert_eq!(told, expected);
}

/// Of several spaces, one has lost tables: a CPU that keeps a root for nobody may walk them, and leaves it.
#[test]
fn promise_08_lazy_cpus_leave_where_any_space_lost_tables() {
    for (flush, left) in [(Flush::pages(pages(7, 7)), 1), (leaf(7), 0)] {
        let (machine, engine, spaces) = machine(false);
        machine.set_presence(2, Presence::Lazy);
        let mut batch = Batch::new(engine);
        batch.add(spaces[0], leaf(7)).unwrap();
        batch.add(spaces[1], flush).unwrap();
        let cost = batch.flush().unwrap();
        assert_eq!(machine.cpus[2].left_roots.load(Ordering::Relaxed), left);
        assert_eq!(cost.ipis, 1 + left, "the other is asked for its own space");
    }
}

/// Freed tables beside a page are a change of another kind.
#[test]
fn promise_11_walk_caches_are_flushed_for_what_needs_it() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(spaces[0], iommu, AttachKey(1)).unwrap();
    let mut batch = Batch::new(engine);
    batch.add(spaces[0], leaf(7)).unwrap();
    let table = Flush::pages(pages(8, 8)).leaf_size(PageSize::KIB_4);
    batch.add(spaces[0], table).unwrap();
    batch.flush().unwrap();
    let depths: Vec<_> = iommu
        .queued()
        .iter()
        .map(|op| match op {
            Op::Invalidate(Invalidation::Space { flush, .. }) => flush.depth(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(depths, [Depth::Leaf, Depth::Tables]);
}

/// Where places are wanting changes of one space are merged upward: page < range < everything.
#[test]
fn promise_05_changes_of_one_space_are_merged_upward() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let _attached = engine.attach(spaces[0], iommu, AttachKey(1)).unwrap();
    let told = || match iommu.queued().last() {
        Some(Op::Invalidate(Invalidation::Space { flush, .. })) => *flush,
        other => panic!("{other:?}"),
    };
    let mut batch = Reclaim::<_, 1, 1>::new(engine);
    batch.add(spaces[0], leaf(7)).unwrap();
    batch.add(spaces[0], leaf(3)).unwrap();
    assert_eq!(batch.flush().unwrap().escalations, 1);
    assert_eq!(*told().range(), FlushRange::Pages(pages(3, 7)));
    batch.add(spaces[0], leaf(7)).unwrap();
    batch.add(spaces[0], Flush::all()).unwrap();
    batch.add(spaces[0], leaf(1)).unwrap();
    batch.flush().unwrap();
    assert_eq!(*told().range(), FlushRange::All);
}

/// A fifth space finds no place, and loses nothing.
#[test]
fn promise_05_full_batch_refuses_and_keeps_what_it_has() {
    let (machine, engine) = Machine::new(2, true);
    let spaces = [(); 5].map(|()| machine.new_space());
    let mut batch = Batch::new(engine);
    for space in spaces {
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        machine.unmap(space, 7);
    }
    for space in &spaces[..4] {
        batch.add(space, leaf(7)).unwrap();
    }
    assert_eq!(batch.add(spaces[4], leaf(7)), Err(AddError::Full));
    batch.add(spaces[0], leaf(8)).unwrap();
    batch.flush().unwrap();
    batch.add(spaces[4], leaf(7)).unwrap();
    batch.flush().unwrap();
    for space in spaces {
        assert_eq!(machine.cached(space, 7), [None; 2]);
    }
}

/// As many spaces as there are places, whatever else was added: two changes of one space become one, and nothing is lost.
#[test]
fn promise_05_full_batch_merges_to_make_room_for_another_space() {
    let (machine, engine, spaces) = machine(true);
    let mut batch = Batch::new(engine);
    for n in [1, 3, 5, 7] {
        machine.map(spaces[0], n, 1);
        machine.run_on(spaces[0], [0, 1], n);
        machine.unmap(spaces[0], n);
        batch.add(spaces[0], leaf(n)).unwrap();
    }
    for space in &spaces[1..] {
        machine.unmap(space, 7);
        batch.add(space, leaf(7)).unwrap();
    }
    let cost = batch.flush().unwrap();
    assert_eq!((cost.store_barriers, cost.escalations), (1, 2));
    for (space, page) in [(0, 1), (0, 3), (0, 5), (0, 7), (1, 7), (2, 7)] {
        assert_eq!(machine.cached(spaces[space], page), [None; 4], "{page}");
    }
    for space in spaces {
        engine.retire(space).unwrap().wait().unwrap();
    }
}

#[test]
fn changes_that_the_machine_cannot_have_are_refused() {
    let (machine, engine, spaces) = machine(true);
    let mut batch = Batch::new(engine);
    let error = batch.add(spaces[0], leaf(1 << 40)).unwrap_err();
    assert!(matches!(error, AddError::Refused(Refused::Range(_))));
    assert!(batch.is_empty());
    machine.journal.take();
    assert_eq!(batch.flush().map(|cost| cost.store_barriers), Ok(0));
    assert_eq!(machine.journal.take(), []);
}

/// A full ring is tried again, space by space, until there is room.
#[test]
fn promise_05_full_device_is_tried_again() {
    let (machine, engine, spaces) = machine(true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    for space in spaces {
        let key = AttachKey(space.id().raw());
        let _attached = engine.attach(space, iommu, key).unwrap();
        iommu.start_walks(key.0);
        iommu.read(key.0, 7);
    }
    iommu.be_full(5);
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces);
    batch.flush().unwrap();
    for space in spaces {
        assert_eq!(iommu.read(space.id().raw(), 7), None);
    }
}

/// A CPU that does not answer: everything stays in the batch, and is flushed by the next attempt.
#[test]
fn promise_04_time_out_keeps_everything_in_the_batch() {
    let (machine, engine, spaces) = machine(false);
    machine.set_auto(2, false);
    let mut batch = Batch::new(engine);
    unmap_all(machine, &mut batch, &spaces);
    let error = batch.flush().unwrap_err();
    let FlushError::Incomplete(incomplete) = error else {
        panic!("{error:?}");
    };
    assert_eq!(incomplete.cpus, crate::support::cpu_set([2]));
    assert!(!batch.is_empty());
    machine.set_auto(2, true);
    batch.flush().unwrap();
    assert!(batch.is_empty());
    for space in spaces {
        assert_eq!(machine.cached(space, 7), [None; 4]);
    }
}
