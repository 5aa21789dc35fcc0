//! Promise 4: nothing is freed early, and nothing is lost when somebody does not answer.

mod support;

use support::{Answer, FakeTlb, Machine, Point, Sink, cpu_set, leaf};
use tlb_shootdown::secondary::{AttachKey, Needs, SecondaryError};
use tlb_shootdown::ticket::{Frames, Item, StorageFull};

const NEEDS: Needs = Needs::UPGRADES;
const DEVICE: SecondaryError = SecondaryError::DeviceTimeout { device: 0x108 };

fn frames(sink: &'static Sink) -> Frames<'static, Sink, [Item; 2]> {
    let mut frames = Frames::inline::<2>(sink);
    frames.push(Sink::frame(0x1000)).unwrap();
    frames.push(Sink::table(0x2000)).unwrap();
    frames
}

#[test]
fn promise_04_frames_and_tables_come_free_after_the_last_answer() {
    let (machine, engine) = Machine::new(3, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1, 2], 7);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.answer(Answer::Never);
    let sink = Sink::new();
    let mut ticket = engine.start(space, leaf(7)).unwrap().holding(frames(sink));
    assert!(ticket.poll().is_pending());
    assert_eq!(ticket.unanswered().cpus, cpu_set([1, 2]));
    assert_eq!(ticket.unanswered().secondaries, 1);
    for cpu in [1, 2] {
        machine.on(cpu, || engine.on_ipi());
        assert!(ticket.poll().is_pending());
        assert_eq!(sink.released(), (0, 0));
    }
    assert!(ticket.unanswered().cpus.is_empty());
    tlb.answer(Answer::AtOnce);
    assert!(ticket.poll().is_ready());
    assert_eq!(sink.released(), (1, 1));
    assert_eq!(
        *sink.tables.lock().unwrap(),
        [0x2000],
        "through release_table"
    );
    assert!(ticket.poll().is_ready(), "a settled ticket stays settled");
    drop(ticket);
    assert_eq!(sink.released(), (1, 1), "once");
    assert!(sink.quarantined.lock().unwrap().is_empty());
}

#[test]
fn promise_04_after_a_timeout_the_ticket_names_the_silent_and_can_be_waited_for_again() {
    for has_clock in [true, false] {
        let (machine, engine) = Machine::booting(3, false, 20);
        machine
            .has_clock
            .store(has_clock, std::sync::atomic::Ordering::Relaxed);
        for cpu in 0..3 {
            machine.on(cpu, || engine.cpu_online().unwrap());
        }
        let space = machine.new_space();
        machine.run_on(space, [0, 1, 2], 7);
        machine.set_auto(2, false);
        let sink = Sink::new();
        let ticket = engine.start(space, leaf(7)).unwrap().holding(frames(sink));
        let unfinished = ticket.wait().unwrap_err();
        assert_eq!(unfinished.error.cpus, cpu_set([2]));
        assert_eq!(unfinished.error.error, None);
        assert_eq!(engine.stats().timeouts, 1);
        assert_eq!(sink.released(), (0, 0));
        let mut ticket = unfinished.ticket;
        assert!(ticket.poll().is_pending());
        machine.set_auto(2, true);
        ticket.renew();
        ticket.wait().unwrap();
        assert_eq!(sink.released(), (1, 1));
        assert_eq!(engine.stats().timeouts, 1);
        assert_eq!(engine.stats().quarantined, 0);
    }
}

#[test]
fn promise_04_dropped_at_its_deadline_a_ticket_quarantines_what_it_holds() {
    let (machine, engine) = Machine::booting(2, false, 20);
    for cpu in 0..2 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    let sink = Sink::new();
    drop(engine.start(space, leaf(7)).unwrap().holding(frames(sink)));
    assert_eq!(sink.released(), (0, 0));
    let quarantined = sink.quarantined.lock().unwrap();
    let (items, error) = &quarantined[0];
    assert_eq!(items[..], [Sink::frame(0x1000), Sink::table(0x2000)]);
    assert_eq!(error.cpus, cpu_set([1]));
    assert_eq!(engine.stats().quarantined, 2);
    assert_eq!(
        engine.stats().timeouts,
        1,
        "a drop that waits in vain is a wait"
    );
    assert_eq!(engine.stats().completed, 0);
}

#[test]
fn promise_04_dropped_after_a_failed_wait_it_is_counted_once() {
    let (machine, engine) = Machine::booting(2, false, 20);
    for cpu in 0..2 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    assert!(engine.flush(space, leaf(7)).is_err());
    assert_eq!(engine.stats().timeouts, 1);
}

#[test]
fn promise_04_dropped_before_its_deadline_a_ticket_waits() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let sink = Sink::new();
    drop(engine.start(space, leaf(7)).unwrap().holding(frames(sink)));
    assert_eq!(sink.released(), (1, 1));
}

#[test]
fn promise_04_device_error_keeps_the_frames_until_the_device_is_gone() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.answer(Answer::Error(DEVICE));
    let sink = Sink::new();
    let ticket = engine.start(space, leaf(7)).unwrap().holding(frames(sink));
    let unfinished = ticket.wait().unwrap_err();
    assert_eq!(unfinished.error.error, Some(DEVICE));
    assert_eq!(unfinished.error.secondaries, 1);
    assert_eq!(sink.released(), (0, 0));
    let mut ticket = unfinished.ticket;
    assert!(matches!(ticket.poll(), std::task::Poll::Ready(Err(_))));
    tlb.answer(Answer::AtOnce);
    engine.detach(space, attached).unwrap();
    ticket.wait().unwrap();
    assert_eq!(sink.released(), (1, 1));
}

#[test]
fn promise_04_ticket_that_has_completed_releases_what_it_is_given_and_counts_once() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    assert!(ticket.poll().is_ready());
    let sink = Sink::new();
    let ticket = ticket.holding(frames(sink));
    assert_eq!(sink.released(), (1, 1));
    drop(ticket);
    assert_eq!(sink.released(), (1, 1));
    assert_eq!(engine.stats().completed, 1);
}

#[test]
fn promise_04_full_storage_gives_the_item_back() {
    let sink = Sink::new();
    let mut storage = [Sink::table(0); 1];
    let mut frames = Frames::in_storage(sink, &mut storage);
    frames.push(Sink::frame(0x1000)).unwrap();
    assert_eq!(
        frames.push(Sink::frame(0x2000)),
        Err(StorageFull(Sink::frame(0x2000)))
    );
    assert_eq!(frames.items(), [Sink::frame(0x1000)]);
}

/// The ticket starts on one CPU and is finished on another, which is one of those that it waits for.
#[test]
fn promise_04_ticket_moves_to_a_cpu_that_it_waits_for() {
    fn is_send<T: Send>(_: &T) {}
    let (machine, engine) = Machine::new(3, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1, 2], 7);
    let sink = Sink::new();
    let ticket = engine.start(space, leaf(7)).unwrap().holding(frames(sink));
    is_send(&ticket);
    machine.set_auto(1, false);
    machine.on(1, || machine.with_irqs_off(|| ticket.wait().unwrap()));
    assert_eq!(sink.released(), (1, 1));
    assert_eq!(machine.cached(space, 7), [None, None, None]);
}

/// The wait is interrupted by a handler that flushes on the same CPU: both tickets share its slot.
#[test]
fn promise_04_flush_within_a_wait_shares_the_slot() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.at(Point::Relax, move || {
        engine.flush(space, leaf(9)).unwrap();
    });
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(engine.stats().completed, 2);
}
