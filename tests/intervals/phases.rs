//! All are told before any is waited for; then each is; then all are told the end.

use crate::common::{Call, Rest, World};
use std::sync::atomic::Ordering;
use tlb_shootdown::notifier::interval::Unanswered;
use tlb_shootdown::secondary::{AttachKey, SecondaryError};

/// Waits for at most so many turns of the world's clock.
fn turns(world: &'static World, most: usize) -> impl FnMut() -> bool {
    let until = world.clock.load(Ordering::Relaxed) + most;
    move || world.clock.fetch_add(1, Ordering::Relaxed) + 1 < until
}

#[test]
fn promise_03_all_are_told_before_any_is_waited_for_and_each_is() {
    let world = World::new();
    for key in 1..=3 {
        world.subscribe(key, 10, 19).0.rest(Rest::After(1));
    }
    let started = world.begin(10, 10);
    assert_eq!(
        world.calls(),
        [Call::Start(1), Call::Start(2), Call::Start(3)]
    );
    let quiet = started.wait(&mut turns(world, 2)).unwrap();
    let polls = [1, 1, 2, 3].map(Call::Poll);
    assert_eq!(world.calls(), polls);
    drop(quiet);
    assert_eq!(world.calls(), [1, 2, 3].map(Call::End));
}

/// Their times overlap: the wait takes as long as the slowest, not as long as all together.
#[test]
fn waits_overlap() {
    let world = World::new();
    for (key, turns) in [(1, 20), (2, 30), (3, 10)] {
        world.subscribe(key, 10, 19).0.rest(Rest::After(turns));
    }
    let quiet = world.begin(10, 10).wait(&mut turns(world, 100)).unwrap();
    assert_eq!(world.clock.load(Ordering::Relaxed), 30);
    drop(quiet);
}

#[test]
fn promise_04_a_time_out_names_who_has_not_answered_and_keeps_readers_off() {
    let world = World::new();
    let (_, quick) = world.subscribe(1, 10, 19);
    let (slow, _) = world.subscribe(2, 10, 19);
    slow.rest(Rest::After(5));
    let not_quiet = world.begin(10, 10).wait(&mut turns(world, 3)).unwrap_err();
    assert_eq!(not_quiet.error.key, AttachKey(2));
    assert_eq!(not_quiet.error.error, None);
    world.blocked(quick);
    let quiet = not_quiet.started.wait(&mut turns(world, 3)).unwrap();
    world.blocked(quick);
    drop(quiet);
    let _read = world.read(quick);
}

#[test]
fn promise_04_an_error_is_reported_and_may_be_asked_about_again() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 10, 19);
    device.rest(Rest::Fails(SecondaryError::QueueStopped));
    let failed = world.begin(10, 10).wait(&mut || true).unwrap_err();
    let Unanswered { key, error, .. } = failed.error;
    assert_eq!((key.0, error), (1, Some(SecondaryError::QueueStopped)));
    device.rest(Rest::Never);
    let failed = failed.started.wait(&mut || false).unwrap_err();
    assert_eq!(failed.error.error, None);
}

/// What was given up is still under way on the device, and the next invalidation waits for it too.
#[test]
fn promise_04_what_was_given_up_is_waited_for_by_the_next() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    device.rest(Rest::After(5));
    drop(world.begin(10, 10).wait(&mut turns(world, 2)).unwrap_err());
    assert_eq!(world.calls().last(), Some(&Call::End(1)));
    let _read = world.read(subscription);
    device.rest(Rest::AtOnce);
    let quiet = world.begin(11, 11).wait(&mut turns(world, 9)).unwrap();
    assert_eq!(world.clock.load(Ordering::Relaxed), 5);
    drop(quiet);
    device.polled();
    drop(world.quiet(12, 12));
    assert_eq!(device.polled().last(), Some(&1), "nobody asks for it again");
}

/// Another CPU's start goes between one's own and one's wait: both marks are waited for, by both.
#[test]
fn promise_05_the_later_mark_does_not_hide_the_earlier() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 10, 19);
    device.rest(Rest::After(9));
    let first = world.begin(10, 10);
    device.rest(Rest::After(2));
    let second = world.begin(19, 19);
    let first = first.wait(&mut turns(world, 3)).unwrap_err().started;
    let second = second.wait(&mut turns(world, 3)).unwrap_err().started;
    let first = first.wait(&mut turns(world, 9)).unwrap();
    assert_eq!(world.clock.load(Ordering::Relaxed), 9);
    let asked = device.polled();
    let second = second.wait(&mut || false).unwrap();
    assert_eq!(device.polled(), asked, "it is known to be reached");
    drop((first, second));
}

/// A mark that is recorded late, by a CPU that was slow, does not replace a newer one.
#[test]
fn promise_05_a_mark_that_is_recorded_late_does_not_replace_a_newer_one() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 10, 19);
    device.rest(Rest::After(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    // Another CPU's invalidation between this one's submission and its return.
    device.within(Call::Started(1), move || {
        device.rest(Rest::Never);
        sender.send(world.begin(19, 19)).unwrap();
    });
    let outer = world.begin(10, 10);
    let inner = receiver.try_recv().unwrap();
    let outer = outer.wait(&mut || false).unwrap_err();
    assert_eq!(outer.error.key, AttachKey(1));
    assert_eq!(device.polled(), [2], "the newer one covers both");
    drop((outer, inner));
}

/// Another CPU starts while this one hears that its own mark is reached: that one's is still owed.
#[test]
fn promise_05_a_mark_that_is_reached_does_not_take_a_newer_one_with_it() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 10, 19);
    device.rest(Rest::After(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    device.within(Call::Poll(1), move || {
        device.rest(Rest::Never);
        sender.send(world.begin(19, 19)).unwrap();
    });
    let first = world.begin(10, 10).wait(&mut || false).unwrap();
    let second = receiver
        .try_recv()
        .unwrap()
        .wait(&mut || false)
        .unwrap_err();
    assert_eq!(second.error.key, AttachKey(1));
    assert_eq!(device.polled(), [1, 2]);
    drop((first, second));
}

/// While subscribers are told the end nobody reads yet, and when the waiters are woken they may.
#[test]
fn promise_03_reads_begin_after_everybody_was_told_the_end() {
    let world = World::new();
    let (device, first) = world.subscribe(1, 10, 19);
    let (_, second) = world.subscribe(2, 10, 19);
    device.within(Call::End(1), move || {
        world.blocked(first);
        world.blocked(second);
        assert_eq!(world.wakes(), 0);
    });
    drop(world.quiet(10, 10));
    assert_eq!(world.wakes(), 1);
    let _reads = (world.read(first), world.read(second));
}

#[test]
fn one_that_is_dropped_without_a_wait_ends() {
    let world = World::new();
    let (_, subscription) = world.subscribe(1, 10, 19);
    drop(world.begin(10, 10));
    assert_eq!(world.calls(), [Call::Start(1), Call::End(1)]);
    let _read = world.read(subscription);
}
