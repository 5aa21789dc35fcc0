//! Two kinds of users, told in two ways: neither hears of what is meant for the other. That nobody is of both kinds is a matter of types;
//! the documentation of `Subscriber` has the programs that do not compile.

use crate::common::{Call, World};
use crate::support::{FakeTlb, Machine, leaf};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs};

#[test]
fn promise_03_a_flush_tells_no_subscriber_and_an_invalidation_no_secondary_tlb() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    let world = World::of(space.id());
    let _subscribed = world.subscribe(1, 0, 99);

    let before = tlb.calls();
    let quiet = world.quiet(7, 7);
    assert_eq!(world.calls(), [Call::Start(1)]);
    drop(quiet);
    assert_eq!(world.calls(), [Call::End(1)]);
    assert_eq!(
        tlb.calls(),
        before,
        "the end of an invalidation least of all"
    );

    engine.flush(space, leaf(7)).unwrap();
    engine.flush_upgrade(space, leaf(7)).unwrap();
    engine.flush(space, Flush::all()).unwrap();
    assert_eq!(tlb.queued().len(), 3);
    assert_eq!(world.calls(), []);

    engine.release(space).unwrap();
    assert_eq!(world.calls(), [], "each kind has a release of its own");
}
