//! Promise 1 and the order of the steps: barrier, identifier, devices, CPUs, and only then the first wait.

mod support;

use support::{Event, FakeTlb, Machine, kernel_page, leaf};
use tlb_shootdown::arch::Reach;
use tlb_shootdown::secondary::{AttachKey, Needs};

const NEEDS: Needs = Needs::UPGRADES;

fn position(events: &[Event], event: &Event) -> usize {
    let found = events.iter().position(|e| e == event);
    found.unwrap_or_else(|| panic!("{event:?} in {events:?}"))
}

#[test]
fn promise_01_flush_with_a_device_goes_in_five_steps() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    machine.journal.take();
    engine.flush(space, leaf(7)).unwrap();
    let expected = [
        Event::StoreBarrier,
        Event::ReadId,
        Event::Queue("A"),
        Event::Seal("A"),
        Event::Issue(Reach::Broadcast),
        Event::Complete(Reach::Broadcast),
        Event::Poll("A"),
    ];
    assert_eq!(machine.journal.take(), expected);
}

#[test]
fn promise_01_cpus_by_interrupt_are_asked_before_the_own_flush() {
    let (machine, engine) = Machine::new(3, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1, 2], 7);
    machine.journal.take();
    let ticket = engine.start(space, leaf(7)).unwrap();
    let expected = [
        Event::StoreBarrier,
        Event::ReadId,
        Event::Ipi(vec![1, 2]),
        Event::Issue(Reach::Local),
        Event::Complete(Reach::Local),
    ];
    assert_eq!(machine.journal.take(), expected);
    ticket.wait().unwrap();
}

#[test]
fn promise_01_all_devices_are_sealed_before_the_first_is_polled() {
    for broadcasts in [true, false] {
        let (machine, engine) = Machine::new(2, broadcasts);
        let space = machine.new_space();
        machine.run_on(space, [0, 1], 7);
        let names = ["A", "B", "C", "D"];
        for name in names {
            let tlb = FakeTlb::new(machine, name, NEEDS);
            let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        }
        machine.journal.take();
        engine.flush(space, leaf(7)).unwrap();
        let events = machine.journal.take();
        let first_poll = events.iter().position(|e| matches!(e, Event::Poll(_)));
        let issued = events.iter().position(|e| matches!(e, Event::Issue(_)));
        assert!(issued.unwrap() < first_poll.unwrap());
        for name in names {
            assert!(position(&events, &Event::Seal(name)) < first_poll.unwrap());
            let polls = events.iter().filter(|e| **e == Event::Poll(name));
            assert_eq!(polls.count(), 1, "the depth of serial waits is 1");
        }
        assert_eq!(position(&events, &Event::StoreBarrier), 0);
    }
}

#[test]
fn promise_01_kernel_flush_begins_with_the_barrier() {
    let (machine, engine) = Machine::new(2, true);
    machine.journal.take();
    engine.flush_kernel_range(kernel_page(1)).unwrap();
    let expected = [
        Event::StoreBarrier,
        Event::Issue(Reach::Broadcast),
        Event::Complete(Reach::Broadcast),
    ];
    assert_eq!(machine.journal.take(), expected);
}

#[test]
fn promise_01_one_page_costs_one_barrier_one_invalidation_one_completion() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let cost = engine.flush(space, leaf(7)).unwrap();
    let counts = (
        cost.store_barriers,
        cost.invalidations,
        cost.completion_barriers,
        cost.ipis,
    );
    assert_eq!(counts, (1, 1, 1, 0));
    assert_eq!(
        space.generation(),
        1,
        "no shared line is written for the generation"
    );
}

/// Where an IOMMU snoops the CPUs' broadcasts, its devices come strictly after the completion that the broadcast needs.
#[test]
fn promise_03_snooping_iommu_makes_the_flush_broadcast_and_comes_after_it() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0], 7);
    let snooper = FakeTlb::new(machine, "S", Needs::UPGRADES | Needs::SNOOPS_BROADCASTS);
    let other = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, snooper, AttachKey(1)).unwrap();
    let _other = engine.attach(space, other, AttachKey(1)).unwrap();
    machine.journal.take();
    engine.flush(space, leaf(7)).unwrap();
    let expected = [
        Event::StoreBarrier,
        Event::ReadId,
        Event::Queue("A"),
        Event::Seal("A"),
        Event::Issue(Reach::Broadcast),
        Event::Complete(Reach::Broadcast),
        Event::Queue("S"),
        Event::Seal("S"),
        Event::Poll("S"),
        Event::Poll("A"),
    ];
    assert_eq!(machine.journal.take(), expected);
    // Without the snooper this CPU alone is concerned again.
    engine.detach(space, attached).unwrap();
    machine.journal.take();
    engine.flush(space, leaf(7)).unwrap();
    assert!(machine.journal.take().contains(&Event::Issue(Reach::Local)));
}

#[test]
fn promise_03_snooper_that_found_no_room_is_told_later() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0], 7);
    let snooper = FakeTlb::new(machine, "S", Needs::SNOOPS_BROADCASTS);
    let _attached = engine.attach(space, snooper, AttachKey(1)).unwrap();
    snooper.be_full(4);
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(snooper.queued().len(), 1);
}
