//! Reads against invalidations: a read waits, or it is void, or it was made in time.

use crate::common::World;

#[test]
fn promise_03_nobody_reads_what_is_being_changed() {
    let world = World::new();
    let (_, subscription) = world.subscribe(1, 10, 19);
    let started = world.begin(15, 15);
    let running = world.blocked(subscription);
    let quiet = started.wait(&mut || false).unwrap();
    assert_eq!(world.blocked(subscription), running);
    assert!(!world.intervals.has_ended(running));
    drop(quiet);
    assert!(world.intervals.has_ended(running));
    let read = world.read(subscription);
    assert!(!world.intervals.read_retry(read));
}

#[test]
fn promise_03_what_was_read_before_an_invalidation_began_is_void() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    let early = world.read(subscription);
    let started = world.begin(15, 15);
    assert!(!device.fill(early, (1, 15), 7), "it runs");
    drop(started.wait(&mut || false).unwrap());
    assert!(!device.fill(early, (1, 15), 7), "it has run");
    let read = world.read(subscription);
    assert!(device.fill(read, (1, 15), 8));
    drop(world.quiet(15, 15));
    assert_eq!(device.maps(1, 15), None, "what was in time is removed");
    assert!(!device.fill(early, (1, 15), 7), "another has run");
    assert!(!device.fill(read, (1, 15), 8));
}

#[test]
fn reads_of_other_ranges_go_on() {
    let world = World::new();
    let (_, told) = world.subscribe(1, 10, 19);
    let (device, other) = world.subscribe(2, 20, 29);
    let early = world.read(other);
    let quiet = world.quiet(10, 19);
    world.blocked(told);
    assert!(device.fill(early, (2, 20), 1));
    let read = world.read(other);
    assert!(device.fill(read, (2, 21), 1));
    drop(quiet);
    assert!(!world.intervals.read_retry(read));
}

/// The collision: whoever was told in a run waits for its last invalidation, the ones of others included.
#[test]
fn a_run_ends_with_its_last_invalidation() {
    let world = World::new();
    let (_, first) = world.subscribe(1, 10, 19);
    let (_, second) = world.subscribe(2, 20, 29);
    let a = world.quiet(10, 10);
    let b = world.quiet(20, 20);
    let running = world.blocked(first);
    drop(a);
    assert_eq!(world.blocked(first), running);
    assert_eq!(world.blocked(second), running);
    assert_eq!(world.wakes(), 0);
    drop(b);
    assert_eq!(world.wakes(), 1, "once");
    let read = world.read(first);
    drop(world.quiet(20, 20));
    assert!(
        !world.intervals.read_retry(read),
        "no business of the first"
    );
    assert_eq!(world.wakes(), 2);
}

/// Two invalidations of one range in one run: the end of the first lets nobody in.
#[test]
fn promise_03_overlapping_invalidations_all_hold_readers_off() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    let early = world.read(subscription);
    let a = world.quiet(10, 15);
    let b = world.quiet(15, 19);
    drop(a);
    world.blocked(subscription);
    assert!(!device.fill(early, (1, 15), 7));
    drop(b);
    assert!(!device.fill(early, (1, 15), 7));
    let _read = world.read(subscription);
}

#[test]
fn an_invalidation_that_meets_nobody_leaves_no_trace() {
    let world = World::new();
    let (_, subscription) = world.subscribe(1, 10, 19);
    let early = world.read(subscription);
    let quiet = world.quiet(20, 29);
    let _read = world.read(subscription);
    drop(quiet);
    assert!(!world.intervals.read_retry(early));
    assert_eq!(world.calls(), []);
    assert_eq!(world.wakes(), 0);
}

#[test]
fn a_run_that_has_ended_is_never_taken_for_a_later_one() {
    let world = World::new();
    let (_, subscription) = world.subscribe(1, 10, 19);
    let first = world.quiet(10, 10);
    let ended = world.blocked(subscription);
    drop(first);
    let _second = world.quiet(10, 10);
    assert!(world.intervals.has_ended(ended));
    assert_ne!(world.blocked(subscription), ended);
}
