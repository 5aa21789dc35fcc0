//! Widening rights while a nest MMU of a POWER9 may have the entry cached.

use crate::accelerator::Accelerator;
use crate::common::*;
use std::cell::RefCell;
use tlb_shootdown::error::FlushError;
use tlb_shootdown::secondary::{AttachKey, Needs};
use tlb_shootdown::shootdown::UpgradeStep;

const POWER9_NEST: Needs = Needs::UPGRADES.union(Needs::BREAKS_UPGRADES);

/// Invalidate, flush, set; and the accelerator is told. Linux leaves the notice out.
#[test]
fn promise_09_upgrade_goes_through_an_invalid_entry_and_is_told() {
    let world = World::power10(2);
    let space = shared(&world);
    let accelerator = Accelerator::new(POWER9_NEST);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    assert!(world.engine.breaks_upgrades(&space));
    world.take();
    let steps = RefCell::new(Vec::new());
    let store = |step| {
        let flushed = world.recorder().count("tlbie");
        steps
            .borrow_mut()
            .push((step, flushed, accelerator.told().len()));
    };
    world.engine.upgrade(&space, page(0x5000), store).unwrap();
    let expected = [(UpgradeStep::Invalidate, 0, 0), (UpgradeStep::Widen, 1, 1)];
    assert_eq!(steps.into_inner(), expected);
    assert_eq!(accelerator.told(), [], "one notice");
}

/// Everybody else bears an entry that is widened in place, and is told afterwards.
#[test]
fn promise_09_upgrade_in_place_is_told() {
    let world = World::power10(2);
    let space = shared(&world);
    let accelerator = Accelerator::new(Needs::UPGRADES);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    let steps = RefCell::new(Vec::new());
    let store = |step| steps.borrow_mut().push(step);
    world.engine.upgrade(&space, page(0x5000), store).unwrap();
    assert_eq!(steps.into_inner(), [UpgradeStep::Widen]);
    assert_eq!(accelerator.told(), [page(0x5000)]);
}

#[test]
fn promise_09_upgrade_without_accelerators_is_in_place() {
    let world = World::power9(2);
    let space = alone(&world);
    assert!(!world.engine.breaks_upgrades(&space));
    world.repair_spurious_faults();
    world.take();
    let steps = RefCell::new(Vec::new());
    let store = |step| steps.borrow_mut().push(step);
    world.engine.upgrade(&space, page(0x5000), store).unwrap();
    assert_eq!(steps.into_inner(), [UpgradeStep::Widen]);
    assert_eq!(world.take(), [PTESYNC], "a fault does the rest");
}

/// Detached, it asks for nothing any more.
#[test]
fn promise_09_detached_accelerator_has_no_needs() {
    let world = World::power10(2);
    let space = shared(&world);
    let accelerator = Accelerator::new(POWER9_NEST);
    let attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    world.engine.detach(&space, attached).unwrap();
    assert!(!world.engine.breaks_upgrades(&space));
}

/// Refused before anything is stored for good: the entry is invalid, and nobody widened it.
#[test]
fn promise_09_upgrade_that_is_refused_is_not_widened() {
    let world = World::power10(2);
    let space = shared(&world);
    let accelerator = Accelerator::new(POWER9_NEST);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    let steps = RefCell::new(Vec::new());
    let store = |step| steps.borrow_mut().push(step);
    let refused = world.engine.upgrade(&space, page(1 << 60), store);
    assert!(matches!(refused, Err(FlushError::Refused(_))));
    assert_eq!(steps.into_inner(), [UpgradeStep::Invalidate]);
}
