//! Promise 10 for users with tables of their own: after a release nobody copies translations any more.

use crate::common::{Call, Device, Rest, World, pages};
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::notifier::interval::{ReadError, Reason, Removal, SubscribeError};
use tlb_shootdown::secondary::AttachKey;

#[test]
fn promise_10_nobody_reads_or_subscribes_after_a_release() {
    let world = World::new();
    let (device, subscription) = world.subscribe(1, 10, 19);
    let read = world.read(subscription);
    assert!(device.fill(read, (1, 10), 7));
    let started = world.intervals.release().unwrap();
    assert!(!device.fill(read, (1, 11), 7), "from its first moment on");
    let quiet = started.wait(&mut || false).unwrap();
    assert_eq!(quiet.range(), FlushRange::All);
    drop(quiet);
    assert_eq!(device.maps(1, 10), None);
    assert_eq!(device.changes()[0].reason, Reason::Released);
    assert_eq!(
        world.intervals.read_begin(subscription),
        Err(ReadError::Released)
    );
    let late = Device::new(world);
    let subscribed = world.intervals.subscribe(pages(0, 0), late, AttachKey(2));
    assert_eq!(subscribed, Err(SubscribeError::Released));
}

#[test]
fn promise_10_who_subscribes_during_the_run_before_a_release_never_reads() {
    let world = World::new();
    let _subscribed = world.subscribe(1, 10, 19);
    let quiet = world.quiet(10, 19);
    let (device, late) = world.subscribe(2, 10, 19);
    let release = world.intervals.release().unwrap().wait(&mut || false);
    drop((release.unwrap(), quiet));
    assert_eq!(device.changes(), [], "it had nothing");
    assert_eq!(world.intervals.read_begin(late), Err(ReadError::Released));
}

#[test]
fn promise_10_a_release_that_was_not_answered_is_made_again() {
    let world = World::new();
    let (device, _) = world.subscribe(1, 10, 19);
    device.rest(Rest::Never);
    drop(
        world
            .intervals
            .release()
            .unwrap()
            .wait(&mut || false)
            .unwrap_err(),
    );
    device.rest(Rest::AtOnce);
    let again = world.intervals.release().unwrap().wait(&mut || false);
    assert!(again.is_err(), "the first one is still under way");
    assert_eq!(device.changes().len(), 2);
}

/// An unsubscribe may come before, after, or within a release.
#[test]
fn promise_10_release_and_unsubscribe_race() {
    let world = World::new();
    let (_, before) = world.subscribe(1, 10, 19);
    let (device, within) = world.subscribe(2, 10, 19);
    let (_, after) = world.subscribe(3, 10, 19);
    assert_eq!(world.intervals.unsubscribe(before), Ok(Removal::Done));
    device.within(Call::Start(2), move || {
        let removal = world.intervals.unsubscribe(within);
        assert!(matches!(removal, Ok(Removal::AfterRun(_))));
    });
    drop(
        world
            .intervals
            .release()
            .unwrap()
            .wait(&mut || false)
            .unwrap(),
    );
    assert_eq!(
        world.calls(),
        [Call::Start(2), Call::Start(3), Call::End(2), Call::End(3)]
    );
    assert_eq!(world.intervals.unsubscribe(after), Ok(Removal::Done));
    drop(
        world
            .intervals
            .release()
            .unwrap()
            .wait(&mut || false)
            .unwrap(),
    );
    assert_eq!(world.calls(), [], "both are gone");
}
