//! Subscribing and unsubscribing, also while invalidations run.

use crate::common::{Call, Device, World, pages};
use crate::support::Machine;
use std::sync::Arc;
use std::sync::Mutex;
use tlb_shootdown::notifier::interval::{NotSubscribed, ReadError, Removal};
use tlb_shootdown::secondary::AttachKey;

/// It was not told, so its reads wait: what they would see is about to change.
#[test]
fn promise_02_who_subscribes_during_a_run_reads_after_it_and_is_told_from_then_on() {
    let world = World::new();
    let _subscribed = world.subscribe(1, 10, 19);
    let quiet = world.quiet(10, 19);
    let (device, late) = world.subscribe(2, 10, 19);
    let running = world.blocked(late);
    let second = world.quiet(12, 12);
    assert_eq!(device.changes(), [], "it has nothing that could be stale");
    drop(quiet);
    assert_eq!(world.blocked(late), running, "the other one runs");
    drop(second);
    let read = world.read(late);
    assert!(device.fill(read, (2, 12), 1));
    world.calls();
    drop(world.quiet(12, 12));
    assert_eq!(
        world.calls(),
        [Call::Start(1), Call::Start(2), Call::End(1), Call::End(2)]
    );
    assert_eq!(device.maps(2, 12), None);
}

/// The invalidation met nobody, so the table may change; but it covers the newcomer.
#[test]
fn promise_02_who_subscribes_during_an_invalidation_that_met_nobody_waits_for_it() {
    let world = World::new();
    let quiet = world.quiet(10, 19);
    let (device, late) = world.subscribe(1, 10, 19);
    world.blocked(late);
    let second = world.quiet(10, 10);
    assert_eq!(device.changes().len(), 1, "this one has met it");
    drop(quiet);
    assert_eq!(world.calls(), [Call::Start(1)], "the first ends nothing");
    world.blocked(late);
    drop(second);
    assert_eq!(world.calls(), [Call::End(1)]);
    let _read = world.read(late);
}

#[test]
fn who_unsubscribes_while_nothing_runs_is_gone() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    let early = world.read(subscription);
    assert_eq!(world.intervals.unsubscribe(subscription), Ok(Removal::Done));
    drop(world.quiet(10, 19));
    assert_eq!(world.calls(), []);
    assert!(!device.fill(early, (1, 10), 1), "its reads are void");
    assert_eq!(
        world.intervals.read_begin(subscription),
        Err(ReadError::NotSubscribed)
    );
    assert_eq!(
        world.intervals.unsubscribe(subscription),
        Err(NotSubscribed)
    );
}

/// It may still have entries in its table, so it is told until the run has ended.
#[test]
fn promise_03_who_unsubscribes_during_a_run_is_told_until_its_end() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    let early = world.read(subscription);
    let first = world.quiet(10, 10);
    let removal = world.intervals.unsubscribe(subscription);
    let Ok(Removal::AfterRun(running)) = removal else {
        panic!("{removal:?}");
    };
    let second = world.quiet(11, 11);
    assert_eq!(device.changes().len(), 2);
    assert_eq!(
        world.intervals.unsubscribe(subscription),
        Err(NotSubscribed)
    );
    assert_eq!(
        world.intervals.read_begin(subscription),
        Err(ReadError::NotSubscribed)
    );
    drop(first);
    assert!(!world.intervals.has_ended(running));
    drop(second);
    assert!(world.intervals.has_ended(running));
    assert_eq!(world.wakes(), 1);
    world.calls();
    drop(world.quiet(10, 19));
    assert_eq!(world.calls(), []);
    assert!(!device.fill(early, (1, 10), 1));
}

#[test]
fn promise_03_who_comes_and_goes_within_a_run_is_gone_at_once() {
    let world = World::new();
    let _subscribed = world.subscribe(1, 10, 19);
    let quiet = world.quiet(10, 19);
    let (device, passing) = world.subscribe(2, 10, 19);
    assert_eq!(world.intervals.unsubscribe(passing), Ok(Removal::Done));
    drop(quiet);
    drop(world.quiet(10, 19));
    assert_eq!(device.changes(), []);
}

/// The next owner of a place does not vouch for what its former owner has read.
#[test]
fn promise_03_a_read_does_not_survive_its_subscription() {
    let world = World::new();
    drop(world.quiet(10, 19));
    let (device, old) = world.subscribe(1, 10, 19);
    let read = world.read(old);
    assert_eq!(world.intervals.unsubscribe(old), Ok(Removal::Done));
    let (_, new) = world.subscribe(2, 30, 39);
    assert!(!device.fill(read, (1, 10), 7), "idle in between");
    assert_eq!(world.intervals.unsubscribe(old), Err(NotSubscribed));
    assert_eq!(
        world.intervals.read_begin(old),
        Err(ReadError::NotSubscribed)
    );
    let read = world.read(new);
    let quiet = world.quiet(30, 30);
    assert!(matches!(
        world.intervals.unsubscribe(new),
        Ok(Removal::AfterRun(_))
    ));
    drop(quiet);
    let _newest = world.subscribe(3, 10, 19);
    assert!(!device.fill(read, (2, 30), 7), "a run in between");
}

/// An invalidation that met nobody lets the place change hands under a number that a read may have.
#[test]
fn promise_03_a_place_changes_hands_while_nobody_is_concerned() {
    let world = World::new();
    let (device, old) = world.subscribe(1, 10, 19);
    let read = world.read(old);
    let quiet = world.quiet(20, 29);
    assert_eq!(world.intervals.unsubscribe(old), Ok(Removal::Done));
    let (_, new) = world.subscribe(2, 10, 19);
    assert!(!device.fill(read, (1, 10), 7));
    world.blocked(new);
    drop(quiet);
    assert!(!device.fill(read, (1, 10), 7));
}

#[test]
fn subscriptions_of_another_space_are_refused() {
    let (machine, _) = Machine::new(1, true);
    let [world, other] = [(); 2].map(|()| World::of(machine.new_space().id()));
    let (_, subscription) = world.subscribe(1, 10, 19);
    let (device, _theirs) = other.subscribe(1, 10, 19);
    assert_eq!(
        other.intervals.unsubscribe(subscription),
        Err(NotSubscribed)
    );
    assert_eq!(
        other.intervals.read_begin(subscription),
        Err(ReadError::NotSubscribed)
    );
    assert!(!device.fill(world.read(subscription), (1, 10), 7));
}

/// A subscriber may come and go from within a call: nothing waits, and no lock is held.
#[test]
fn promise_06_subscribers_come_and_go_from_within_a_call() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    let result = Arc::new(Mutex::new(None));
    let kept = result.clone();
    device.within(Call::Start(1), move || {
        world.blocked(subscription);
        let removal = world.intervals.unsubscribe(subscription);
        let second = Device::new(world);
        let added = world
            .intervals
            .subscribe(pages(10, 19), second, AttachKey(2));
        *kept.lock().unwrap() = Some((removal, added));
    });
    drop(world.quiet(10, 19));
    assert_eq!(world.calls(), [Call::Start(1), Call::End(1)]);
    let (removal, added) = result.lock().unwrap().take().expect("it was called");
    assert!(matches!(removal, Ok(Removal::AfterRun(_))));
    let _read = world.read(added.expect("room"));
    drop(world.quiet(10, 19));
    assert_eq!(world.calls(), [Call::Start(2), Call::End(2)]);
}
