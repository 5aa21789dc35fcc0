//! Promise 3 at the end of an attachment: after a detach the device is silent, and no call to it is under way.

mod support;

use std::sync::mpsc;
use support::{Answer, FakeTlb, Machine, Point, leaf};
use tlb_shootdown::MAX_SECONDARIES;
use tlb_shootdown::error::{AttachError, FlushError, Refused};
use tlb_shootdown::secondary::{AttachKey, Needs, SecondaryError};

const NEEDS: Needs = Needs::UPGRADES;

#[test]
fn promise_03_detach_during_flush_completes_the_flush() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let key = space.id().raw();
    machine.map(space, 7, 1);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
    tlb.start_walks(key);
    tlb.read(key, 7);
    tlb.answer(Answer::After(2));
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    machine.on(1, || engine.detach(space, attached).unwrap());
    let polled = tlb.calls();
    assert!(ticket.poll().is_ready(), "the device is silent");
    assert_eq!(tlb.calls(), polled, "and nobody asks it any more");
    assert_eq!(tlb.read(key, 7), None);
    assert!(!tlb.walks(key));
}

/// The slot was given to another device meanwhile: the old ticket neither waits for it nor calls it.
#[test]
fn promise_03_ticket_knows_its_attachment_from_the_next_in_the_same_place() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let old = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, old, AttachKey(1)).unwrap();
    old.answer(Answer::After(1));
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    engine.detach(space, attached).unwrap();
    let new = FakeTlb::new(machine, "B", NEEDS);
    new.answer(Answer::Never);
    let _attached = engine.attach(space, new, AttachKey(1)).unwrap();
    assert!(ticket.poll().is_ready());
    assert!(new.queued().is_empty());
}

#[test]
fn promise_03_stale_attachment_detaches_nobody() {
    let (machine, engine) = Machine::new(1, true);
    let (space, other) = (machine.new_space(), machine.new_space());
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let stale = engine.attach(space, tlb, AttachKey(1)).unwrap();
    assert_eq!(engine.detach(other, stale), Err(AttachError::NotAttached));
    engine.detach(space, stale).unwrap();
    assert_eq!(engine.detach(space, stale), Err(AttachError::NotAttached));
    let fresh = engine.attach(space, tlb, AttachKey(1)).unwrap();
    assert_eq!(engine.detach(space, stale), Err(AttachError::NotAttached));
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(tlb.queued().len(), 2, "one release, one flush");
    engine.detach(space, fresh).unwrap();
}

#[test]
fn promise_06_detach_and_release_from_a_callback_are_refused() {
    for point in [Point::Queue, Point::Seal, Point::Poll] {
        let (machine, engine) = Machine::new(1, true);
        let space = machine.new_space();
        let tlb = FakeTlb::new(machine, "A", NEEDS);
        let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        let (sender, receiver) = mpsc::channel();
        machine.at(point, move || {
            let detached = engine.detach(space, attached);
            sender.send((detached, engine.release(space))).unwrap();
        });
        engine.flush(space, leaf(7)).unwrap();
        let (detached, released) = receiver.recv().unwrap();
        assert_eq!(detached, Err(AttachError::FromCallback), "{point:?}");
        assert_eq!(
            released,
            Err(FlushError::Refused(Refused::FromCallback)),
            "{point:?}"
        );
        engine.detach(space, attached).unwrap();
    }
}

/// An interrupt handler that detaches what its own CPU is about to detach would wait for what it has interrupted.
#[test]
fn promise_06_detach_within_a_detach_is_refused() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    machine.at(Point::Needs, move || {
        assert_eq!(
            engine.detach(space, attached),
            Err(AttachError::FromCallback)
        );
    });
    engine.detach(space, attached).unwrap();
}

/// Another CPU is inside a call; the detach returns after it, and not before.
#[test]
fn promise_03_detach_returns_when_no_call_is_under_way() {
    for point in [Point::Queue, Point::Seal, Point::Poll] {
        let (machine, engine) = Machine::new(2, true);
        let space = machine.new_space();
        let tlb = FakeTlb::new(machine, "A", NEEDS);
        let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        let (events, order) = mpsc::channel();
        let (detached, drains) = (events.clone(), events.clone());
        machine.at(point, move || {
            machine.at(Point::Relax, move || drains.send("drains").unwrap());
            std::thread::spawn(move || {
                machine.become_cpu(1);
                engine.detach(space, attached).unwrap();
                detached.send("detached").unwrap();
            });
            assert_eq!(order.recv().unwrap(), "drains", "{point:?}");
            events.send("call ends").unwrap();
            std::mem::forget(order);
        });
        engine.flush(space, leaf(7)).unwrap();
        while engine.detach(space, attached) != Err(AttachError::NotAttached) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn promise_04_detach_of_a_silent_device_is_a_timeout_and_it_stays_attached() {
    let error = SecondaryError::DeviceTimeout { device: 3 };
    let cases = [
        (Answer::Never, AttachError::Timeout),
        (Answer::Error(error), AttachError::Secondary(error)),
    ];
    for (answer, expected) in cases {
        let (machine, engine) = Machine::booting(1, true, 20);
        engine.cpu_online().unwrap();
        let space = machine.new_space();
        let tlb = FakeTlb::new(machine, "A", NEEDS);
        let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        tlb.answer(answer);
        assert_eq!(engine.detach(space, attached), Err(expected));
        tlb.answer(Answer::AtOnce);
        engine.flush(space, leaf(7)).unwrap();
        assert_eq!(tlb.queued().len(), 2, "still told");
        engine.detach(space, attached).unwrap();
        engine.flush(space, leaf(7)).unwrap();
        assert_eq!(tlb.queued().len(), 3);
    }
}

#[test]
fn promise_03_second_detach_meanwhile_is_busy() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.answer(Answer::After(2));
    let (sender, receiver) = mpsc::channel();
    machine.at(Point::Relax, move || {
        machine.on(1, || sender.send(engine.detach(space, attached)).unwrap());
    });
    engine.detach(space, attached).unwrap();
    assert_eq!(receiver.recv().unwrap(), Err(AttachError::Busy));
}

/// While a detach stops the walk the device may still fill its TLB: a flush that starts then tells it.
#[test]
fn promise_03_flush_during_a_detach_still_tells_the_device() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.answer(Answer::After(3));
    machine.at(Point::Relax, move || {
        machine.on(1, || engine.flush(space, leaf(7)).unwrap());
    });
    engine.detach(space, attached).unwrap();
    assert_eq!(tlb.queued().len(), 2);
}

#[test]
fn every_place_can_be_taken_once() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS | Needs::SNOOPS_BROADCASTS);
    let attached: Vec<_> = (0..MAX_SECONDARIES as u64)
        .map(|key| engine.attach(space, tlb, AttachKey(key)).unwrap())
        .collect();
    assert_eq!(
        engine.attach(space, tlb, AttachKey(99)),
        Err(AttachError::NoPlace)
    );
    for one in attached {
        engine.detach(space, one).unwrap();
    }
    let calls = tlb.calls();
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(tlb.calls(), calls);
}
