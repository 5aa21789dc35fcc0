//! The window between the store and the flush: who may rely on what.

use crate::support::{FakeTlb, Machine, leaf};
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::secondary::{AttachKey, Needs};

/// The historic bug: reclaim clears the entry and defers; a protection change finds nothing mapped, and skips its flush; the old
/// right stays usable. Whoever finds the entry gone flushes first, CPUs and devices.
#[test]
fn promise_03_entry_that_is_gone_may_still_be_used_until_pending_is_flushed() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let space = machine.new_space();
        let key = space.id().raw();
        let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
        let _attached = engine.attach(space, iommu, AttachKey(key)).unwrap();
        iommu.start_walks(key);
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
        iommu.read(key, 7);
        machine.unmap(space, 7);
        let mut batch = Reclaim::<_, 1, 2>::new(engine);
        batch.add(space, leaf(7)).unwrap();
        assert_eq!(machine.cached(space, 7)[1], Some(1));
        machine.on(1, || engine.flush_pending(space).unwrap());
        assert_eq!(machine.cached(space, 7), [None; 2]);
        assert_eq!(iommu.read(key, 7), None);
        batch.flush().unwrap();
    }
}

#[test]
fn promise_12_nothing_pending_costs_nothing() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.journal.take();
    assert_eq!(engine.flush_pending(space).unwrap().store_barriers, 0);
    let mut batch = Reclaim::<_, 1, 2>::new(engine);
    batch.add(space, leaf(7)).unwrap();
    assert_eq!(engine.flush_pending(space).unwrap().store_barriers, 1);
    // Covered: until something is added once more.
    assert_eq!(engine.flush_pending(space).unwrap().store_barriers, 0);
    batch.add(space, leaf(8)).unwrap();
    assert_eq!(engine.flush_pending(space).unwrap().store_barriers, 1);
    batch.flush().unwrap();
    assert_eq!(engine.flush_pending(space).unwrap().store_barriers, 0);
}

/// The flush of one batch covers nothing of another.
#[test]
fn promise_05_one_batch_does_not_answer_for_another() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    for page in [7, 8] {
        machine.map(space, page, 1);
        machine.run_on(space, [0, 1], page);
        machine.unmap(space, page);
    }
    let mut one = Reclaim::<_, 1, 2>::new(engine);
    let mut other = Reclaim::<_, 1, 2>::new(engine);
    one.add(space, leaf(7)).unwrap();
    other.add(space, leaf(8)).unwrap();
    other.flush().unwrap();
    assert_eq!(machine.cached(space, 7)[1], Some(1));
    assert_eq!(engine.flush_pending(space).unwrap().store_barriers, 1);
    assert_eq!(machine.cached(space, 7), [None; 2]);
    one.flush().unwrap();
}

/// A dirty page is written to its backing store only when nobody can write to it any more.
#[test]
fn promise_03_dirty_pages_are_flushed_before_io() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    machine.unmap(space, 7);
    let mut batch = Reclaim::<_, 1, 2>::new(engine);
    batch.add(space, leaf(8)).unwrap();
    assert_eq!(batch.flush_before_io().unwrap().store_barriers, 0, "clean");
    assert_eq!(machine.cached(space, 7)[1], Some(1));
    batch.add_dirty(space, leaf(7)).unwrap();
    assert_eq!(batch.flush_before_io().unwrap().store_barriers, 1);
    assert_eq!(machine.cached(space, 7), [None; 2]);
    assert_eq!(batch.flush_before_io().unwrap().store_barriers, 0);
    // What comes after it is clean again.
    batch.add(space, leaf(8)).unwrap();
    assert_eq!(batch.flush_before_io().unwrap().store_barriers, 0);
}
