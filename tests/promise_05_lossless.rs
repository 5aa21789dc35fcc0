//! Promise 5: no request is dropped. Mailboxes merge upward, full queues are tried again, errors hide nobody's answer.

mod support;

use support::{Answer, FakeTlb, Machine, Point, cpu_set, leaf};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs, SecondaryError};

const NEEDS: Needs = Needs::UPGRADES;
const DEVICE: SecondaryError = SecondaryError::DeviceTimeout { device: 0x108 };

/// One slot, three open tickets of three kinds: the target applies a request that covers them all, and answers all.
#[test]
fn promise_05_slot_with_answers_outstanding_merges_upward() {
    let (machine, engine) = Machine::new(2, false);
    let (space, other) = (machine.new_space(), machine.new_space());
    for (space, pages) in [(space, [7, 9]), (other, [7, 9])] {
        for page in pages {
            machine.map(space, page, 1);
            machine.run_on(space, [1], page);
        }
    }
    let first = engine.start(space, leaf(7)).unwrap();
    let second = engine.start(space, leaf(9)).unwrap();
    let third = engine.start(other, leaf(7)).unwrap();
    for ticket in [&first, &second, &third] {
        assert_eq!(ticket.unanswered().cpus, cpu_set([1]));
    }
    machine.on(1, || engine.on_ipi());
    assert_eq!(
        engine.stats().requests_served,
        1,
        "one interrupt, one merged request"
    );
    for mut ticket in [third, first, second] {
        assert!(ticket.poll().is_ready());
    }
    assert_eq!(machine.cached(space, 7)[1], None);
    assert_eq!(machine.cached(space, 9)[1], None);
    assert_eq!(machine.cached(other, 7)[1], None);
}

#[test]
fn promise_05_pages_of_one_space_merge_into_their_range_and_no_further() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    for page in 6..=11 {
        machine.map(space, page, 1);
        machine.run_on(space, [1], page);
    }
    let tickets = [
        engine.start(space, leaf(7)).unwrap(),
        engine.start(space, leaf(10)).unwrap(),
    ];
    machine.on(1, || engine.on_ipi());
    let held = |page| machine.cached(space, page)[1].is_some();
    let all: Vec<_> = (6..=11).map(held).collect();
    assert_eq!(all, [true, false, false, false, false, true]);
    for ticket in tickets {
        ticket.wait().unwrap();
    }
}

/// An interrupt too many, or one that comes too late, answers nothing that was not asked.
#[test]
fn promise_05_doubled_and_late_interrupts_credit_nobody() {
    let (machine, engine) = Machine::new(3, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1, 2], 7);
    for cpu in [1, 2] {
        machine.set_auto(cpu, false);
    }
    let mut first = engine.start(space, leaf(7)).unwrap();
    for _ in 0..3 {
        machine.on(1, || engine.on_ipi());
    }
    assert!(first.poll().is_pending());
    assert_eq!(first.unanswered().cpus, cpu_set([2]));
    machine.on(2, || engine.on_ipi());
    assert!(first.poll().is_ready());
    machine.run_on(space, [0, 1, 2], 7);
    // The interrupts of the first shootdown come again before those of the second, on CPU 1 even before its request.
    machine.on(1, || engine.on_ipi());
    let mut second = engine.start(space, leaf(7)).unwrap();
    assert!(second.poll().is_pending());
    assert_eq!(second.unanswered().cpus, cpu_set([1, 2]));
    machine.on(1, || engine.on_ipi());
    machine.on(1, || engine.on_ipi());
    assert!(second.poll().is_pending());
    machine.on(2, || engine.on_ipi());
    assert!(second.poll().is_ready());
    assert_eq!(machine.cached(space, 7), [None, None, None]);
}

/// The initiator's second request is published while the target applies the first: the answer is for the first alone.
#[test]
fn promise_05_request_that_arrives_during_service_is_served_again() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.map(space, 9, 1);
    machine.run_on(space, [1], 7);
    machine.run_on(space, [1], 9);
    machine.set_auto(1, false);
    let mut first = engine.start(space, leaf(7)).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    machine.at(Point::BeforeComplete, move || {
        let second = machine.on(0, || engine.start(space, leaf(9)).unwrap());
        sender.send(second).unwrap();
    });
    // With interrupts off, as in a handler: the new interrupt stays pending.
    machine.on(1, || machine.with_irqs_off(|| engine.on_ipi()));
    let mut second = receiver.recv().unwrap();
    assert!(first.poll().is_ready());
    assert!(second.poll().is_pending());
    assert_eq!(second.unanswered().cpus, cpu_set([1]));
    machine.on(1, || machine.safe_point());
    assert!(second.poll().is_ready());
    assert_eq!(machine.cached(space, 9), [None, None]);
}

#[test]
fn promise_05_full_queue_is_tried_again_while_the_others_go_on() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let full = FakeTlb::new(machine, "A", NEEDS);
    let other = FakeTlb::new(machine, "B", NEEDS);
    for tlb in [full, other] {
        let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    }
    full.be_full(9);
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    assert!(ticket.poll().is_pending());
    assert_eq!(ticket.unanswered().secondaries, 0b01, "B has answered");
    ticket.wait().unwrap();
    assert_eq!(full.queued().len(), 1);
    assert_eq!(other.queued().len(), 1);
}

#[test]
fn promise_05_full_queue_that_never_empties_is_a_timeout_that_names_it() {
    let (machine, engine) = Machine::booting(1, true, 20);
    engine.cpu_online().unwrap();
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.be_full(u32::MAX);
    let unfinished = engine.start(space, leaf(7)).unwrap().wait().unwrap_err();
    assert_eq!(unfinished.error.secondaries, 1);
    tlb.be_full(0);
    let mut ticket = unfinished.ticket;
    ticket.renew();
    ticket.wait().unwrap();
    assert_eq!(tlb.queued().len(), 1);
}

#[test]
fn promise_05_error_of_one_device_hides_no_answer_of_another() {
    for failing_first in [true, false] {
        let (machine, engine) = Machine::new(1, true);
        let space = machine.new_space();
        let key = space.id().raw();
        machine.map(space, 7, 1);
        let failing = FakeTlb::new(machine, "A", NEEDS);
        let slow = FakeTlb::new(machine, "B", NEEDS);
        let order = if failing_first {
            [failing, slow]
        } else {
            [slow, failing]
        };
        for tlb in order {
            let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
            tlb.start_walks(key);
            tlb.read(key, 7);
        }
        failing.answer(Answer::Error(DEVICE));
        slow.answer(Answer::After(5));
        machine.unmap(space, 7);
        let error = engine
            .start(space, leaf(7))
            .unwrap()
            .wait()
            .unwrap_err()
            .error;
        assert_eq!(error.error, Some(DEVICE));
        assert_eq!(error.secondaries, if failing_first { 0b01 } else { 0b10 });
        assert_eq!(
            slow.read(key, 7),
            None,
            "the slow one was waited for to its end"
        );
    }
}

#[test]
fn promise_05_one_device_may_serve_many_spaces() {
    let (machine, engine) = Machine::new(1, true);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let spaces = [machine.new_space(), machine.new_space()];
    for space in spaces {
        let key = space.id().raw();
        machine.map(space, 7, 1);
        let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
        tlb.start_walks(key);
        tlb.read(key, 7);
        machine.unmap(space, 7);
    }
    engine.flush(spaces[1], Flush::all()).unwrap();
    let seen = spaces.map(|space| tlb.read(space.id().raw(), 7));
    assert_eq!(seen, [Some(1), None]);
}

/// Escalation: the silent get a second interrupt, the devices are asked for all they have.
#[test]
fn promise_05_escalation_presses_those_who_have_not_answered() {
    let (machine, engine) = Machine::booting(3, false, 20);
    for cpu in 0..3 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let space = machine.new_space();
    let key = space.id().raw();
    machine.map(space, 9, 1);
    machine.run_on(space, [0, 1, 2], 9);
    let silent = FakeTlb::new(machine, "A", NEEDS);
    let done = FakeTlb::new(machine, "B", NEEDS);
    for tlb in [silent, done] {
        let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
        tlb.start_walks(key);
        tlb.read(key, 9);
    }
    silent.answer(Answer::Never);
    machine.set_auto(2, false);
    let unfinished = engine.start(space, leaf(7)).unwrap().wait().unwrap_err();
    let mut ticket = unfinished.ticket;
    assert_eq!(ticket.unanswered().cpus, cpu_set([2]));
    machine.journal.take();
    machine.set_auto(2, true);
    silent.answer(Answer::AtOnce);
    ticket.escalate();
    assert_eq!(machine.ipis(), 1, "the one that has not answered");
    let cost = ticket.wait().unwrap();
    assert_eq!(cost.ipis, 3);
    assert_eq!(cost.escalations, 1);
    assert_eq!(silent.queued().len(), 2);
    assert_eq!(done.queued().len(), 1);
    machine.unmap(space, 9);
    assert_eq!(silent.read(key, 9), None, "widened to the whole space");
    assert_eq!(engine.stats().timeouts, 1);
}
