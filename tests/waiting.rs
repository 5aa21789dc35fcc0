//! Promises 6 and 12: what a wait holds, whom it answers meanwhile, how long it lasts, and who is waited for.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use support::{Answer, FakeTlb, Machine, Point, leaf, page};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs};

/// In the first turn of the wait nothing is held that was not held before it.
#[test]
fn promise_06_interrupts_are_on_and_the_task_may_move_while_a_ticket_is_waited_for() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    let looked = Arc::new(AtomicBool::new(false));
    let seen = looked.clone();
    machine.at(Point::Relax, move || {
        let held = [&machine.here().irqs_off, &machine.here().pins];
        assert_eq!(held.map(|count| count.load(Ordering::Relaxed)), [0, 0]);
        seen.store(true, Ordering::Relaxed);
    });
    engine.start(space, leaf(7)).unwrap().wait().unwrap();
    assert!(looked.load(Ordering::Relaxed), "CPU 1 answers in a turn");
}

/// CPU 1 is inside a call; CPU 0 waits for its end, with interrupts off, and CPU 2 waits for CPU 0.
#[test]
fn promise_06_a_detach_answers_while_it_waits_for_calls_to_end() {
    let (machine, engine) = Machine::new(3, false);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES);
    let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    (0..3).for_each(|cpu| machine.set_auto(cpu, false));
    let detaches = move || {
        machine.become_cpu(0);
        machine.with_irqs_off(|| engine.detach(space, attached).unwrap());
    };
    machine.at(Point::Poll, move || {
        let drains = Arc::new(AtomicBool::new(false));
        let begun = drains.clone();
        machine.at(Point::Relax, move || begun.store(true, Ordering::SeqCst));
        thread::spawn(detaches);
        while !drains.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let mut ticket = machine.on(2, || engine.start_kernel(Flush::all()).unwrap());
        machine.on(1, || engine.on_ipi());
        let answered = (0..1_000_000).any(|_| {
            thread::yield_now();
            machine.on(2, || ticket.poll().is_ready())
        });
        assert!(answered, "CPU 0 answers: {:?}", ticket.unanswered().cpus);
    });
    machine.become_cpu(1);
    engine.flush(space, leaf(7)).unwrap();
}

#[test]
fn promise_03_every_secondary_tlb_of_a_space_is_told() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let all = ["A", "B", "C"].map(|name| FakeTlb::new(machine, name, Needs::UPGRADES));
    for tlb in all {
        let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    }
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(all.map(|tlb| tlb.queued().len()), [1, 1, 1]);
}

/// CPU 1 answers after six tenths of the time, and a device never: the rest is what is left for it.
#[test]
fn promise_12_cpus_and_devices_share_one_deadline() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES);
    let attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    tlb.answer(Answer::Never);
    let begun = machine.clock.load(Ordering::Relaxed);
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    machine.clock.fetch_add(600_000, Ordering::Relaxed);
    assert!(ticket.poll().is_pending());
    machine.on(1, || engine.on_ipi());
    let left = ticket.wait().unwrap_err();
    assert!(!left.error.cpus.contains(CpuId::new(1)));
    let passed = machine.clock.load(Ordering::Relaxed) - begun;
    assert_eq!(passed, 1_000_000, "1000 turns of the clock");
    tlb.answer(Answer::AtOnce);
    drop(left);
    engine.detach(space, attached).unwrap();
}

/// Four pages side by side are one change in the books and one for each device, however they were added.
#[test]
fn promise_12_a_batch_keeps_no_books_for_each_page() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let tlb = FakeTlb::new(machine, "A", Needs::UPGRADES);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    let mut batch = Reclaim::<_, 1, 8>::new(engine);
    for number in [3, 2, 4, 5] {
        batch
            .add(space, Flush::page(page(number), PageSize::KIB_4))
            .unwrap();
    }
    let cost = batch.flush().unwrap();
    assert_eq!((cost.commands, tlb.queued().len()), (1, 1));
}
