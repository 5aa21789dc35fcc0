//! Promise 4 towards CPUs that serve no interrupt: the NMI as a last resort.

mod support;

use std::sync::atomic::Ordering;
use support::{Engine, Machine, Sink, Space, cpu_set, leaf};
use tlb_shootdown::ticket::Frames;

/// CPU 1 has the page in its TLB and serves no interrupt.
fn deaf() -> (&'static Machine, &'static Engine, &'static Space) {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    machine.unmap(space, 7);
    (machine, engine, space)
}

#[test]
fn promise_04_a_cpu_that_serves_no_interrupt_answers_by_nmi() {
    let (machine, engine, space) = deaf();
    let sink = Sink::new();
    let mut frames = Frames::inline::<1>(sink);
    frames.push(Sink::frame(0x1000)).unwrap();
    let mut ticket = engine.start(space, leaf(7)).unwrap().holding(frames);
    ticket.escalate();
    machine.take_nmi(1);
    assert!(ticket.poll().is_pending(), "first a second interrupt");
    ticket.escalate();
    assert!(ticket.poll().is_pending(), "asked, and not answered");
    assert_eq!(ticket.unanswered().cpus, cpu_set([1]));
    assert_eq!(sink.released(), (0, 0));
    machine.take_nmi(1);
    assert_eq!(machine.cached(space, 7), [None, None]);
    assert!(ticket.poll().is_ready());
    assert_eq!(sink.released(), (1, 0));
}

/// An NMI from before the shootdown proves nothing, however late the ticket looks.
#[test]
fn promise_04_an_nmi_answers_its_own_round_and_earlier_ones() {
    let (machine, engine, space) = deaf();
    let mut first = engine.start(space, leaf(7)).unwrap();
    first.escalate();
    first.escalate();
    machine.take_nmi(1);
    machine.map(space, 8, 1);
    machine.on(1, || machine.read(space, 8));
    machine.unmap(space, 8);
    let mut second = engine.start(space, leaf(8)).unwrap();
    second.escalate();
    second.escalate();
    assert!(second.poll().is_pending());
    assert_eq!(machine.cached(space, 8)[1], Some(1));
    assert!(first.poll().is_ready());
    machine.take_nmi(1);
    assert!(second.poll().is_ready());
}

/// The slot of the initiator stays open: what is asked next still reaches the CPU when it serves its mailbox.
#[test]
fn promise_05_after_an_nmi_the_mailbox_is_still_served() {
    let (machine, engine, space) = deaf();
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    ticket.escalate();
    ticket.escalate();
    machine.take_nmi(1);
    assert!(ticket.poll().is_ready());
    machine.map(space, 8, 1);
    machine.on(1, || machine.read(space, 8));
    machine.unmap(space, 8);
    let mut next = engine.start(space, leaf(8)).unwrap();
    assert!(next.poll().is_pending());
    machine.on(1, || engine.on_ipi());
    assert!(next.poll().is_ready());
    assert_eq!(machine.cached(space, 8)[1], None);
}

/// A walker may be at work under the NMI, and a root be loaded: neither is over because a TLB is empty.
#[test]
fn promise_04_rounds_and_ends_are_not_answered_by_nmi() {
    let (machine, engine, space) = deaf();
    let mut ticket = engine.retire(space).unwrap();
    ticket.escalate();
    ticket.escalate();
    machine.take_nmi(1);
    assert!(ticket.poll().is_pending());
    machine.on(1, || engine.on_ipi());
    assert!(ticket.poll().is_ready());
    assert_eq!(machine.cpus[1].left_roots.load(Ordering::Relaxed), 1);
}

#[test]
fn promise_04_without_nmis_a_silent_cpu_stays_silent() {
    let (machine, engine, space) = deaf();
    machine.has_nmi.store(false, Ordering::Relaxed);
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    // A round that an earlier kernel of NMIs might have answered.
    machine.on(1, || engine.on_nmi());
    ticket.escalate();
    ticket.escalate();
    machine.take_nmi(1);
    assert!(ticket.poll().is_pending());
    let left = ticket.wait().map(drop).unwrap_err();
    assert_eq!(left.error.cpus, cpu_set([1]));
    machine.set_auto(1, true);
}
