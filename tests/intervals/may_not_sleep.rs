//! Callers that may not sleep: a refusal undoes what was begun, and nothing else.

use crate::common::{Call, World, pages};
use tlb_shootdown::notifier::interval::Refused;
use tlb_shootdown::secondary::AttachKey;

#[test]
fn promise_12_a_refusal_ends_exactly_those_that_had_begun() {
    let world = World::new();
    let (_, first) = world.subscribe(1, 10, 19);
    let (sleeper, second) = world.subscribe(2, 11, 19);
    let (_, third) = world.subscribe(3, 12, 19);
    sleeper.has_to_sleep();
    let refused = world.intervals.try_begin(pages(12, 12)).err();
    assert_eq!(refused, Some(Refused { key: AttachKey(2) }));
    assert_eq!(
        world.calls(),
        [Call::Start(1), Call::Start(2), Call::End(1)]
    );
    assert_eq!(world.wakes(), 1, "whoever waited for it");
    let reads = [first, second, third].map(|subscription| world.read(subscription));
    assert!(reads.iter().all(|read| !world.intervals.read_retry(*read)));
}

/// Reads that had begun are void even for those that were never told: their range was announced.
#[test]
fn a_refusal_costs_readers_one_more_try() {
    let world = World::new();
    let (sleeper, first) = world.subscribe(1, 10, 19);
    let (_, second) = world.subscribe(2, 10, 19);
    sleeper.has_to_sleep();
    let reads = [first, second].map(|subscription| world.read(subscription));
    assert!(world.intervals.try_begin(pages(10, 10)).is_err());
    assert_eq!(world.calls(), [Call::Start(1)]);
    assert!(reads.iter().all(|read| world.intervals.read_retry(*read)));
}

#[test]
fn a_refusal_leaves_other_invalidations_running() {
    let world = World::new();
    let (sleeper, subscription) = world.subscribe(1, 10, 19);
    let quiet = world.quiet(10, 10);
    sleeper.has_to_sleep();
    assert!(world.intervals.try_begin(pages(10, 10)).is_err());
    world.blocked(subscription);
    assert_eq!(world.wakes(), 0);
    drop(quiet);
    let _read = world.read(subscription);
}

#[test]
fn who_may_sleep_is_not_refused_and_subscribers_know_which() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 10, 19);
    drop(world.intervals.try_begin(pages(10, 10)).unwrap());
    device.has_to_sleep();
    drop(world.begin(10, 10));
    let may_sleep = device
        .changes()
        .iter()
        .map(|change| change.may_sleep)
        .collect::<Vec<_>>();
    assert_eq!(may_sleep, [false, true]);
}
