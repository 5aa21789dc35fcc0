//! The flush of a batch as something that is polled, awaited, pressed and joined: nothing is freed early, whoever looks.

use crate::support::{
    Answer, Engine, FakeTlb, Host, Machine, Op, Sink, Space, cpu_set, leaf, page, pages,
};
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::batch::{Gather, Reclaim};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Invalidation, Needs, SecondaryError};
use tlb_shootdown::ticket::{Frames, InProgress, Item, wait_for_all};

type Holding = Frames<'static, Sink, [Item; 4]>;
type Batch = Reclaim<'static, Host, 1, 4, Holding>;

/// Two CPUs that run two spaces, of which the second answers only when it is told to.
fn machine() -> (&'static Machine, &'static Engine, [&'static Space; 2]) {
    let (machine, engine) = Machine::booting(2, false, 20);
    for cpu in 0..2 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let spaces = [(); 2].map(|()| machine.new_space());
    for space in spaces {
        machine.map(space, 7, 1);
        machine.run_on(space, [0, 1], 7);
    }
    machine.set_auto(1, false);
    (machine, engine, spaces)
}

fn batch(engine: &'static Engine, spaces: &[&'static Space], sink: &'static Sink) -> Batch {
    let mut batch = Batch::holding(engine, Frames::inline::<4>(sink));
    for (space, at) in spaces.iter().zip(1..) {
        batch.add(space, leaf(7)).unwrap();
        batch.held().push(Sink::frame(at << 12)).unwrap();
    }
    batch
}

fn answer(machine: &Machine, engine: &Engine) {
    machine.on(1, || engine.on_ipi());
}

#[test]
fn promise_04_started_batch_frees_after_the_last_answer() {
    let (machine, engine, spaces) = machine();
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    let mut flushing = batch.start().unwrap();
    assert_eq!(flushing.cost().ipis, 1);
    for _ in 0..3 {
        assert!(flushing.poll().is_pending());
        assert_eq!(sink.released(), (0, 0));
        assert_eq!(flushing.unanswered().cpus, cpu_set([1]));
    }
    answer(machine, engine);
    let Poll::Ready(Ok(cost)) = flushing.poll() else {
        panic!("everybody has answered");
    };
    assert_eq!((cost.ipis, sink.released()), (1, (2, 0)));
    assert_eq!(flushing.unanswered().cpus, cpu_set([]));
    assert_eq!(flushing.poll(), Poll::Ready(Ok(cost)), "once is enough");
    drop(flushing);
    assert!(batch.is_empty());
    assert_eq!(engine.stats().completed, 1);
}

#[test]
fn promise_04_awaited_batch_is_ready_with_the_last_answer() {
    let (machine, engine, spaces) = machine();
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    let mut future = pin!(batch.start().unwrap().into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    answer(machine, engine);
    assert!(matches!(
        future.as_mut().poll(&mut cx),
        Poll::Ready(Ok(cost)) if cost.ipis == 1
    ));
    assert_eq!(sink.released(), (2, 0));
}

/// What was not answered stays in the batch, recorded and held, and is flushed again as a whole.
#[test]
fn promise_04_batch_keeps_everything_that_was_not_answered() {
    let (machine, engine, spaces) = machine();
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    let unfinished = batch.start().unwrap().wait().unwrap_err();
    assert_eq!(unfinished.error.cpus, cpu_set([1]));
    assert_eq!(engine.stats().timeouts, 1);
    drop(unfinished);
    assert_eq!((sink.released(), batch.is_empty()), ((0, 0), false));
    assert_eq!(engine.stats().timeouts, 1, "the drop is no second wait");
    assert!(sink.quarantined.lock().unwrap().is_empty());
    machine.set_auto(1, true);
    batch.flush().unwrap();
    assert_eq!(sink.released(), (2, 0));
}

/// It can be waited for again, with a new deadline.
#[test]
fn promise_12_batch_gets_a_new_deadline() {
    let (machine, engine, spaces) = machine();
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    let mut flushing = batch.start().unwrap().wait().unwrap_err().ticket;
    flushing.renew();
    machine.set_auto(1, true);
    assert_eq!(flushing.wait().unwrap().ipis, 1, "asked once");
    assert_eq!(sink.released(), (2, 0));
}

/// CPUs get a second interrupt, a device that failed is asked for everything it has of each space.
#[test]
fn promise_04_pressed_batch_asks_again() {
    let (machine, engine, spaces) = machine();
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    for (space, key) in spaces.iter().zip(1..) {
        let _attached = engine.attach(space, iommu, AttachKey(key)).unwrap();
    }
    iommu.answer(Answer::Error(SecondaryError::QueueStopped));
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    let mut flushing = batch.start().unwrap();
    assert!(flushing.poll().is_pending(), "CPU 1 is silent");
    answer(machine, engine);
    let Poll::Ready(Err(error)) = flushing.poll() else {
        panic!("the device has failed");
    };
    assert_eq!((error.secondaries, sink.released()), (1, (0, 0)));
    iommu.answer(Answer::AtOnce);
    flushing.escalate();
    let cost = flushing.wait().unwrap();
    assert_eq!((cost.escalations, sink.released()), (2, (2, 0)));
    let whole = [1, 2].map(|key| {
        let (key, flush) = (AttachKey(key), Flush::all());
        Op::Invalidate(Invalidation::Space { key, flush })
    });
    assert_eq!(iommu.queued()[2..], whole);
}

/// A CPU that answers neither of two interrupts flushes everything in an NMI.
#[test]
fn promise_04_pressed_batch_ends_with_an_nmi() {
    let (machine, engine, spaces) = machine();
    machine.has_nmi.store(true, Ordering::Relaxed);
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    let mut flushing = batch.start().unwrap();
    flushing.escalate();
    assert_eq!(flushing.cost().ipis, 2);
    assert!(flushing.poll().is_pending());
    flushing.escalate();
    machine.take_nmi(1);
    assert_eq!(flushing.wait().unwrap().ipis, 3);
    assert_eq!(sink.released(), (2, 0));
}

/// A ticket and a batch under one wait.
#[test]
fn promise_03_batch_and_ticket_are_joined() {
    let (machine, engine, spaces) = machine();
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces[..1], sink);
    let mut flushing = batch.start().unwrap();
    let mut ticket = engine.start(spaces[1], leaf(7)).unwrap();
    let both: [&mut dyn InProgress<1>; 2] = [&mut flushing, &mut ticket];
    assert!(wait_for_all(both).is_err());
    assert_eq!(sink.released(), (0, 0));
    flushing.renew();
    ticket.renew();
    machine.set_auto(1, true);
    let both: [&mut dyn InProgress<1>; 2] = [&mut flushing, &mut ticket];
    assert_eq!(wait_for_all(both).map_err(|_| ()).unwrap().ipis, 2);
    assert_eq!(sink.released(), (1, 0));
}

/// A flush that nobody waits for is waited for by its drop.
#[test]
fn promise_04_dropped_flush_waits() {
    let (machine, engine, spaces) = machine();
    machine.set_auto(1, true);
    let sink = Sink::new();
    let mut batch = batch(engine, &spaces, sink);
    drop(batch.start().unwrap());
    assert_eq!((sink.released(), batch.is_empty()), ((2, 0), true));
    assert_eq!(machine.cached(spaces[0], 7), [None; 2]);
}

/// Until the flush completes, its changes are pending: whoever relies on them flushes the space.
#[test]
fn promise_04_started_batch_is_still_pending() {
    let (machine, engine, spaces) = machine();
    let mut batch = batch(engine, &spaces, Sink::new());
    let flushing = batch.start().unwrap();
    machine.set_auto(1, true);
    assert_eq!(engine.flush_pending(spaces[0]).unwrap().ipis, 1);
    flushing.wait().unwrap();
    assert_eq!(engine.flush_pending(spaces[0]).unwrap().ipis, 0);
}

/// The gather ends with its last flush, not before: the space cannot end meanwhile.
#[test]
fn promise_04_gather_ends_when_its_flush_does() {
    let (machine, engine, spaces) = machine();
    let sink = Sink::new();
    let space = spaces[0];
    let mut gather = Gather::new(engine, space, Frames::inline::<2>(sink)).unwrap();
    for n in 2..4 {
        let frame = PhysAddr::new(n << 12);
        gather.unmap(page(n), PageSize::KIB_4, Some(frame)).unwrap();
    }
    let mut finishing = gather.start_finish().unwrap();
    assert!(finishing.poll().is_pending());
    assert!(engine.retire(space).is_err());
    answer(machine, engine);
    assert!(finishing.poll().is_ready());
    assert_eq!(sink.released(), (2, 0));
    machine.set_auto(1, true);
    assert!(engine.retire(space).unwrap().wait().is_ok());
    drop(finishing);
    assert_eq!(gather.finish().unwrap().ipis, 1, "nothing more was to do");
}

/// Two gathers are open: whoever finishes first flushes for both, also where nobody waits meanwhile.
#[test]
fn promise_05_overlapping_gathers_flush_everything_when_started() {
    let (machine, engine, spaces) = machine();
    machine.set_auto(1, true);
    let gather = |sink| Gather::new(engine, spaces[0], Frames::inline::<2>(sink)).unwrap();
    let (mut one, mut other) = (gather(Sink::new()), gather(Sink::new()));
    machine.unmap(spaces[0], 7);
    other.change(leaf(7)).unwrap();
    one.change(Flush::pages(pages(1, 1))).unwrap();
    one.start_finish().unwrap().wait().unwrap();
    assert_eq!(machine.cached(spaces[0], 7), [None; 2]);
    other.finish().unwrap();
}
