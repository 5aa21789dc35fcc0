//! A fixed number of places: full is an answer, not a loss.

use crate::common::{Device, PLACES, World, pages};
use crate::support::Machine;
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::notifier::interval::{Intervals, Removal, SubscribeError};
use tlb_shootdown::secondary::AttachKey;

fn filled() -> (
    &'static World,
    Vec<tlb_shootdown::notifier::interval::Subscription>,
) {
    let world = World::new();
    let places = PLACES as u64;
    let subscriptions = (0..places).map(|key| world.subscribe(key, key, key).1);
    (world, subscriptions.collect())
}

fn one_more(world: &'static World) -> Result<(), SubscribeError> {
    let key = AttachKey(99);
    let subscribed = world
        .intervals
        .subscribe(pages(0, 0), Device::new(world), key);
    subscribed.map(|_| ())
}

#[test]
fn promise_05_a_full_array_says_so_and_keeps_everybody() {
    let (world, subscriptions) = filled();
    assert_eq!(one_more(world), Err(SubscribeError::Full));
    drop(world.quiet(0, PLACES as u64));
    assert_eq!(world.calls().len(), 2 * PLACES, "each start and each end");
    let removal = world.intervals.unsubscribe(subscriptions[3]);
    assert_eq!(removal, Ok(Removal::Done));
    assert_eq!(one_more(world), Ok(()));
    assert_eq!(one_more(world), Err(SubscribeError::Full));
}

/// A place that is being left is in use until the run has ended, and one that is being taken counts as well.
#[test]
fn promise_05_places_in_transition_count() {
    let (world, subscriptions) = filled();
    let quiet = world.quiet(0, 0);
    let removal = world.intervals.unsubscribe(subscriptions[3]);
    assert!(matches!(removal, Ok(Removal::AfterRun(_))));
    assert_eq!(one_more(world), Err(SubscribeError::Full));
    drop(quiet);
    let quiet = world.quiet(0, 0);
    assert_eq!(one_more(world), Ok(()), "joins at the end");
    assert_eq!(one_more(world), Err(SubscribeError::Full));
    drop(quiet);
    assert_eq!(one_more(world), Err(SubscribeError::Full));
    world.calls();
    drop(world.quiet(3, 3));
    assert_eq!(world.calls(), [], "nobody is left at this page");
}

#[test]
fn no_place_at_all_is_a_capacity() {
    let (machine, _) = Machine::new(1, true);
    let space = machine.new_space().id();
    let none = Intervals::<_, _, 0>::new(space, CriticalSectionLock, ());
    let world = World::new();
    let subscribed = none.subscribe(pages(0, 0), Device::new(world), AttachKey(1));
    assert_eq!(subscribed, Err(SubscribeError::Full));
    let started = none.begin(pages(0, 0)).unwrap();
    drop(started.wait(&mut || false).unwrap());
}
