//! Promise 10: after an address space is released no device walks it, even though no flush follows.

mod support;

use std::sync::mpsc;
use support::{Answer, FakeTlb, Machine, Point, Sink, cpu_set, leaf};
use tlb_shootdown::error::{AttachError, FlushError, Refused, SwitchError};
use tlb_shootdown::secondary::{AttachKey, Needs};
use tlb_shootdown::ticket::Frames;

const NEEDS: Needs = Needs::UPGRADES;

#[test]
fn promise_10_retire_stops_the_walk_before_the_root_comes_free() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let key = space.id().raw();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
    tlb.start_walks(key);
    assert_eq!(tlb.read(key, 7), Some(1));
    tlb.answer(Answer::After(3));
    let sink = Sink::new();
    let mut root = Frames::inline::<1>(sink);
    root.push(Sink::table(0x1000)).unwrap();
    let mut ticket = engine.retire(space).unwrap().holding(root);
    assert!(!tlb.walks(key), "the walk is stopped first of all");
    assert!(ticket.poll().is_pending());
    assert_eq!(sink.released(), (0, 0));
    ticket.wait().unwrap();
    assert_eq!(sink.released(), (0, 1));
    machine.unmap(space, 7);
    assert_eq!(tlb.read(key, 7), None);
    assert_eq!(machine.cached(space, 7), [None, None]);
}

#[test]
fn promise_10_flush_and_switch_after_retire_are_refused() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.run_on(space, [0], 7);
    engine.retire(space).unwrap().wait().unwrap();
    let refused = Refused::Retired;
    assert_eq!(
        engine.flush(space, leaf(7)),
        Err(FlushError::Refused(refused))
    );
    assert_eq!(
        engine.flush_upgrade(space, leaf(7)),
        Err(FlushError::Refused(refused))
    );
    assert_eq!(engine.switch_to(space), Err(SwitchError::Refused(refused)));
    assert_eq!(engine.retire(space).err(), Some(refused));
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    assert_eq!(
        engine.attach(space, tlb, AttachKey(1)),
        Err(AttachError::Retired)
    );
    assert_eq!(tlb.calls(), 0);
}

/// A refused switch leaves the identifiers alone: the CPU goes on under the one that it has.
#[test]
fn promise_10_refused_switch_gives_a_retired_space_no_identifier() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    engine.retire(space).unwrap().wait().unwrap();
    assert!(engine.switch_to(space).is_err());
    assert_eq!(space.hardware().raw(), 0);
    assert!(space.cpus().is_empty());
}

/// The attach has found the space alive; before it publishes its place, the space retires.
#[test]
fn promise_10_attach_that_loses_against_retire_is_refused() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let tlb = FakeTlb::new(machine, "A", NEEDS | Needs::SNOOPS_BROADCASTS);
    machine.at(Point::Needs, move || {
        machine.on(1, || engine.retire(space).unwrap().wait().unwrap());
    });
    assert_eq!(
        engine.attach(space, tlb, AttachKey(1)),
        Err(AttachError::Retired)
    );
    assert!(
        !tlb.queued()
            .iter()
            .any(|op| !matches!(op, support::Op::Release(_)))
    );
}

/// As above, but the retire comes after the place was published: it may release the newcomer, who is refused all the same.
#[test]
fn promise_10_attach_that_retire_has_seen_is_refused_as_well() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    machine.at(Point::AfterStoreBarrier, move || {
        machine.on(1, || engine.retire(space).unwrap().wait().unwrap());
    });
    assert_eq!(
        engine.attach(space, tlb, AttachKey(1)),
        Err(AttachError::Retired)
    );
}

/// The switch has found the space alive; before it publishes its CPU, the space retires.
#[test]
fn promise_10_switch_that_loses_against_retire_is_refused() {
    for point in [Point::Activate, Point::AfterStoreBarrier] {
        let (machine, engine) = Machine::new(3, false);
        let space = machine.new_space();
        machine.run_on(space, [1, 2], 7);
        machine.at(point, move || {
            machine.on(1, || engine.retire(space).unwrap().wait().unwrap());
        });
        let refused = SwitchError::Refused(Refused::Retired);
        assert_eq!(engine.switch_to(space), Err(refused), "{point:?}");
    }
}

#[test]
fn promise_10_every_cpu_that_borrowed_the_root_leaves_it() {
    for broadcasts in [false, true] {
        let (machine, engine) = Machine::new(4, broadcasts);
        let space = machine.new_space();
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1, 2], 7);
        let ticket = engine.retire(space).unwrap();
        assert_eq!(ticket.unanswered().cpus, cpu_set([1, 2]));
        ticket.wait().unwrap();
        let left = |cpu: &u32| {
            let left = &machine.cpus[*cpu as usize].left_roots;
            left.load(std::sync::atomic::Ordering::Relaxed) > 0
        };
        assert_eq!(
            [0, 1, 2, 3].map(|cpu| left(&cpu)),
            [true, true, true, false]
        );
    }
}

/// Between the first broadcast and its own leaving a CPU may fill entries again: it flushes once more by itself.
#[test]
fn promise_10_what_a_borrower_fills_late_is_flushed() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    let id = space.hardware().raw();
    let ticket = engine.retire(space).unwrap();
    machine.cpus[1].tlb.lock().unwrap().insert((id, 7), 1);
    ticket.wait().unwrap();
    assert!(machine.cpus[1].tlb.lock().unwrap().is_empty());
}

#[test]
fn promise_10_release_is_idempotent_and_a_flush_may_follow() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let key = space.id().raw();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
    tlb.start_walks(key);
    engine.release(space).unwrap();
    assert!(!tlb.walks(key));
    engine.release(space).unwrap();
    engine.flush(space, leaf(7)).unwrap();
    engine.detach(space, attached).unwrap();
    engine.release(space).unwrap();
}

#[test]
fn promise_10_release_during_flush_and_retire_during_release() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let key = space.id().raw();
    machine.map(space, 7, 1);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
    tlb.start_walks(key);
    tlb.read(key, 7);
    tlb.answer(Answer::After(4));
    let flush = engine.start(space, leaf(7)).unwrap();
    machine.on(1, || engine.release(space).unwrap());
    assert!(!tlb.walks(key));
    let retire = machine.on(1, || engine.retire(space).unwrap());
    flush.wait().unwrap();
    retire.wait().unwrap();
    assert_eq!(tlb.read(key, 7), None);
}

/// While the device may not answer its release, the identifier is not given back and the space stays retiring.
#[test]
fn promise_10_identifier_stays_with_a_space_whose_device_is_silent() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    machine.run_on(space, [0], 7);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.answer(Answer::Never);
    let unfinished = engine.retire(space).unwrap().wait().unwrap_err();
    assert_ne!(space.hardware().raw(), 0);
    tlb.answer(Answer::AtOnce);
    let mut ticket = unfinished.ticket;
    ticket.renew();
    ticket.wait().unwrap();
    assert_eq!(space.hardware().raw(), 0);
}

#[test]
fn promise_10_full_release_is_tried_again() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.start_walks(1);
    tlb.be_full(5);
    engine.retire(space).unwrap().wait().unwrap();
    assert!(!tlb.walks(1));
}

/// A detach that completes while another CPU is between `queue` and `seal` would leave commands that nobody rings for.
#[test]
fn promise_10_detach_waits_for_what_was_queued_to_be_sealed() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let a = FakeTlb::new(machine, "A", NEEDS);
    let b = FakeTlb::new(machine, "B", NEEDS);
    let attached = engine.attach(space, a, AttachKey(1)).unwrap();
    let _other = engine.attach(space, b, AttachKey(1)).unwrap();
    let (done, waits) = mpsc::channel();
    // First A is queued, then B; there the other CPU detaches A, as far as it gets.
    machine.at(Point::Queue, move || {
        machine.at(Point::Queue, move || {
            let drains = done.clone();
            machine.at(Point::Relax, move || drains.send("drains").unwrap());
            std::thread::spawn(move || {
                machine.become_cpu(1);
                engine.detach(space, attached).unwrap();
                let _ = done.send("detached");
            });
            assert_eq!(waits.recv().unwrap(), "drains");
        });
    });
    engine.flush(space, leaf(7)).unwrap();
    assert!(!a.has_unsealed());
}
