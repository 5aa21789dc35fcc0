//! Mistakes that were made with interval notifiers, or with the callbacks beside them, each by its name.

use crate::common::{Call, Rest, World};
use crate::support::Machine;
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::notifier::interval::Removal;
use tlb_shootdown::secondary::AttachKey;

/// Version 3 of Linux' series looked into the subscriber of a registration that had none: a process whose first user was an interval
/// one crashed the kernel. Here nothing is shared with attachments, so there is nothing to prepare.
#[test]
fn historic_first_user_of_a_process_is_an_interval_one() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let world = World::of(space.id());
    let (device, subscription) = world.subscribe(1, 0, 9);
    assert!(device.fill(world.read(subscription), (1, 5), 7));
    drop(world.quiet(5, 5));
    assert_eq!(device.maps(1, 5), None);
    engine.retire(space).unwrap().wait().unwrap();
}

/// Linux e7ad6c2a4b1a: "everything" as (0, -1) was rounded up to nothing by one driver.
#[test]
fn historic_invalidation_of_everything_was_lost() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, u64::MAX >> 12, u64::MAX >> 12);
    let page = u64::MAX >> 12;
    assert!(device.fill(world.read(subscription), (1, page), 7));
    drop(world.intervals.begin(FlushRange::All).unwrap());
    assert_eq!(device.maps(1, page), None);
}

/// Linux f7edb07ad7c6: the range was used up by the flush that came first, and the notice was of (end, end).
#[test]
fn historic_the_later_subscribers_got_what_was_left_of_the_range() {
    let world = World::new();
    let devices = [1, 2, 3].map(|key| world.subscribe(key, 0, 9).0);
    drop(world.quiet(2, 4));
    for device in devices {
        assert_eq!(device.changes()[0].range, crate::common::pages(2, 4));
    }
}

/// Linux registers no callback that can fail at the start and has an end: the end came for a start that was refused.
#[test]
fn historic_end_without_a_start() {
    let world = World::new();
    let (first, _) = world.subscribe(1, 0, 9);
    let _never = world.subscribe(2, 0, 9);
    first.has_to_sleep();
    assert!(
        world
            .intervals
            .try_begin(crate::common::pages(0, 0))
            .is_err()
    );
    assert_eq!(world.calls(), [Call::Start(1)]);
}

/// `mmu_notifier_put` calls no `release`, which drivers have relied upon: unsubscribing calls nobody.
#[test]
fn historic_teardown_was_left_to_a_call_that_never_came() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 0, 9);
    assert!(device.fill(world.read(subscription), (1, 5), 7));
    assert_eq!(world.intervals.unsubscribe(subscription), Ok(Removal::Done));
    assert_eq!(world.calls(), []);
    assert_eq!(device.maps(1, 5), Some(7), "the subscriber's to remove");
}

/// All drivers print a time-out and go on, because the callback returns nothing: a freed page could be written by a device.
#[test]
fn historic_time_out_could_not_be_reported() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 0, 9);
    device.rest(Rest::Never);
    let not_quiet = world.begin(5, 5).wait(&mut || false).unwrap_err();
    assert_eq!(not_quiet.error.key, AttachKey(1));
}

/// Linux 1e75a82: who asks a shared flag whether a wait is owed returns while another's commands, his own among them, are under way.
#[test]
fn historic_who_was_overtaken_did_not_wait() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 0, 9);
    device.rest(Rest::Never);
    let mine = world.begin(5, 5);
    let theirs = world.begin(6, 6);
    let theirs = theirs.wait(&mut || false).unwrap_err();
    let mine = mine.wait(&mut || false).unwrap_err();
    assert_eq!(
        (mine.error.key, theirs.error.key),
        (AttachKey(1), AttachKey(1))
    );
    assert_eq!(device.polled(), [2, 2]);
}
