//! Promise 4 for tasks that await, and for several tickets at once: nothing is freed early, whoever looks.

mod support;

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use support::{Answer, Engine, FakeTlb, Machine, Point, Sink, Space, cpu_set, leaf};
use tlb_shootdown::secondary::{AttachKey, Needs, SecondaryError};
use tlb_shootdown::ticket::{Frames, Item, Ticket, wait_for_all};

type Holding = Ticket<'static, support::Host, 1, Frames<'static, Sink, [Item; 1]>>;

/// How often a task was woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Two CPUs that run a space, of which the second is silent until it is told to answer.
fn machine() -> (&'static Machine, &'static Engine, &'static Space) {
    let (machine, engine) = Machine::booting(2, false, 20);
    for cpu in 0..2 {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    (machine, engine, space)
}

fn start(engine: &'static Engine, space: &'static Space, sink: &'static Sink) -> Holding {
    let mut frames = Frames::inline::<1>(sink);
    frames.push(Sink::frame(0x1000)).unwrap();
    engine.start(space, leaf(7)).unwrap().holding(frames)
}

#[test]
fn promise_04_awaited_ticket_frees_after_the_last_answer() {
    let (machine, engine, space) = machine();
    let sink = Sink::new();
    let task = Arc::new(Task::default());
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(start(engine, space, sink).into_future());
    for looks in 1..4 {
        assert!(future.as_mut().poll(&mut cx).is_pending());
        assert_eq!(task.woken(), looks, "nobody else would wake it");
        assert_eq!(sink.released(), (0, 0));
    }
    machine.on(1, || engine.on_ipi());
    let Poll::Ready(Ok(cost)) = future.as_mut().poll(&mut cx) else {
        panic!("everybody has answered");
    };
    assert_eq!((cost.ipis, sink.released()), (1, (1, 0)));
    assert!(future.as_mut().poll(&mut cx).is_pending(), "it has ended");
    assert_eq!(task.woken(), 3);
}

#[test]
fn promise_04_platform_that_keeps_the_waker_wakes() {
    let (machine, engine, space) = machine();
    *machine.wakers.lock().unwrap() = Some(Vec::new());
    let sink = Sink::new();
    let task = Arc::new(Task::default());
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(start(engine, space, sink).into_future());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(task.woken(), 0);
    machine.on(1, || engine.on_ipi());
    let kept = machine.wakers.lock().unwrap().take().unwrap();
    kept.into_iter().for_each(Waker::wake);
    assert_eq!(task.woken(), 1);
    assert!(future.as_mut().poll(&mut cx).is_ready());
    assert_eq!(sink.released(), (1, 0));
}

/// Before the waker is kept nobody is woken by an answer, so it has to be looked for after that.
#[test]
fn promise_05_answer_while_the_waker_is_kept_is_seen() {
    let (machine, engine, space) = machine();
    *machine.wakers.lock().unwrap() = Some(Vec::new());
    machine.at(Point::WakeLater, || machine.on(1, || engine.on_ipi()));
    let mut future = pin!(start(engine, space, Sink::new()).into_future());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn promise_04_awaited_ticket_comes_back_at_its_deadline() {
    for has_clock in [true, false] {
        let (machine, engine, space) = machine();
        machine.has_clock.store(has_clock, Ordering::Relaxed);
        let sink = Sink::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut future = pin!(start(engine, space, sink).into_future());
        let looks = if has_clock { 5 } else { 19 };
        for _ in 0..looks {
            assert!(future.as_mut().poll(&mut cx).is_pending());
        }
        machine.clock.fetch_add(20_000, Ordering::Relaxed);
        let Poll::Ready(Err(unfinished)) = future.as_mut().poll(&mut cx) else {
            panic!("the time is up");
        };
        assert_eq!(unfinished.error.cpus, cpu_set([1]));
        assert_eq!((engine.stats().timeouts, sink.released()), (1, (0, 0)));
        machine.set_auto(1, true);
        let mut ticket = unfinished.ticket;
        ticket.renew();
        ticket.wait().unwrap();
        assert_eq!(sink.released(), (1, 0));
    }
}

#[test]
fn promise_04_future_that_is_dropped_waits_and_then_quarantines() {
    let (_, engine, space) = machine();
    let sink = Sink::new();
    drop(start(engine, space, sink).into_future());
    assert_eq!(sink.released(), (0, 0));
    assert_eq!(sink.quarantined.lock().unwrap().len(), 1);
}

#[test]
fn promise_04_joined_tickets_free_each_its_own() {
    let (machine, engine, silent) = machine();
    let alone = machine.new_space();
    machine.run_on(alone, [0], 7);
    let (first, second) = (Sink::new(), Sink::new());
    let tickets = [start(engine, silent, first), start(engine, alone, second)];
    let Err(tickets) = wait_for_all(tickets) else {
        panic!("one of them is silent");
    };
    assert_eq!((first.released(), second.released()), ((0, 0), (1, 0)));
    let silent = tickets.each_ref().map(|ticket| ticket.unanswered().cpus);
    assert_eq!(silent, [cpu_set([1]), cpu_set([])]);
    assert_eq!(engine.stats().timeouts, 1);
    machine.set_auto(1, true);
    let tickets = tickets.map(|mut ticket| {
        ticket.renew();
        ticket
    });
    let Ok(cost) = wait_for_all(tickets) else {
        panic!("everybody answers");
    };
    assert_eq!((cost.store_barriers, cost.ipis), (2, 1));
    assert_eq!((first.released(), second.released()), ((1, 0), (1, 0)));
}

/// The second would be looked at only when the time of the first is up.
#[test]
fn promise_05_joined_tickets_are_polled_together() {
    let (machine, engine) = Machine::booting(1, true, 50);
    machine.on(0, || engine.cpu_online().unwrap());
    let spaces = [machine.new_space(), machine.new_space()];
    let names = ["first", "second"];
    let tlbs = names.map(|name| FakeTlb::new(machine, name, Needs::UPGRADES));
    for (space, tlb) in spaces.into_iter().zip(tlbs) {
        machine.run_on(space, [0], 7);
        let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
        tlb.answer(Answer::Never);
    }
    let tickets = spaces.map(|space| engine.start(space, leaf(7)).unwrap());
    tlbs[1].answer(Answer::AtOnce);
    let Err(tickets) = wait_for_all(tickets) else {
        panic!("the first never answers");
    };
    let pending = tickets.each_ref().map(|ticket| ticket.unanswered());
    assert_eq!(pending[0].secondaries, 1);
    assert_eq!(
        (pending[1].secondaries, pending[1].error),
        (0, None::<SecondaryError>)
    );
    tlbs[0].answer(Answer::AtOnce);
    assert!(wait_for_all(tickets).is_ok());
}

/// One has failed at once, and the other answers later: it is waited for all the same.
#[test]
fn promise_05_one_that_fails_does_not_end_the_wait_for_the_others() {
    let (machine, engine, silent) = machine();
    let failing = machine.new_space();
    machine.run_on(failing, [0], 7);
    let tlb = FakeTlb::new(machine, "failing", Needs::UPGRADES);
    let _attached = engine.attach(failing, tlb, AttachKey(1)).unwrap();
    let error = SecondaryError::DeviceTimeout { device: 1 };
    tlb.answer(Answer::Error(error));
    let (kept, freed) = (Sink::new(), Sink::new());
    let tickets = [start(engine, failing, kept), start(engine, silent, freed)];
    machine.at(Point::Relax, || machine.on(1, || engine.on_ipi()));
    let Err(tickets) = wait_for_all(tickets) else {
        panic!("the device has failed");
    };
    assert_eq!(tickets[0].unanswered().error, Some(error));
    assert_eq!((kept.released(), freed.released()), ((0, 0), (1, 0)));
}
