//! Promise 2: nobody is missed who joins while a shootdown runs.

mod support;

use support::{Answer, Event, FakeTlb, Machine, Point, kernel_page, leaf};
use tlb_shootdown::secondary::{AttachKey, Needs};

const NEEDS: Needs = Needs::UPGRADES;

/// The device attaches and fills its TLB as late as it can and still see the old entry: before the initiator's barrier has ended.
#[test]
fn promise_02_device_that_walked_before_the_barrier_is_told() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let key = space.id().raw();
    machine.map(space, 7, 1);
    let tlb = FakeTlb::new(machine, "A", NEEDS);
    machine.at(Point::AfterStoreBarrier, move || {
        machine.on(1, || {
            let _attached = engine.attach(space, tlb, AttachKey(key)).unwrap();
            tlb.start_walks(key);
            tlb.read(key, 7);
            machine.unmap(space, 7);
        });
    });
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(tlb.read(key, 7), None);
}

/// As above for a CPU: it switched before the initiator looked who may hold entries.
#[test]
fn promise_02_cpu_that_switched_before_the_look_is_flushed() {
    for broadcasts in [true, false] {
        for point in [Point::AfterStoreBarrier, Point::ReadId] {
            let (machine, engine) = Machine::new(2, broadcasts);
            let space = machine.new_space();
            machine.map(space, 7, 1);
            machine.run_on(space, [0], 7);
            machine.at(point, move || {
                machine.run_on(space, [1], 7);
            });
            engine.flush(space, leaf(7)).unwrap();
            assert_eq!(
                machine.cached(space, 7),
                [None, None],
                "{broadcasts} {point:?}"
            );
        }
    }
}

#[test]
fn promise_02_space_that_runs_for_the_first_time_meanwhile_is_flushed() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.at(Point::AfterStoreBarrier, move || {
        machine.run_on(space, [1], 7)
    });
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(machine.cached(space, 7), [None, None]);
}

/// The membership is visible before the first walk: the switch ends with a barrier, also where the CPU was a member already.
#[test]
fn promise_02_every_switch_and_attach_ends_with_the_barrier() {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    for _ in 0..2 {
        machine.journal.take();
        engine.switch_to(space).unwrap();
        assert_eq!(machine.journal.take().last(), Some(&Event::StoreBarrier));
        assert!(!space.cpus().is_empty());
    }
    let tlb = FakeTlb::new(machine, "A", Needs::KERNEL_TABLES);
    let _attached = engine.attach(space, tlb, AttachKey(1)).unwrap();
    assert_eq!(machine.journal.take(), [Event::StoreBarrier]);
    engine.register_instance(tlb).unwrap();
    assert_eq!(machine.journal.take(), [Event::StoreBarrier]);
}

/// A CPU comes online while the shootdown waits for others: it is not waited for, and holds nothing old.
#[test]
fn promise_02_cpu_that_comes_online_during_a_wait_is_not_waited_for() {
    let (machine, engine) = Machine::booting(3, false, 50);
    for cpu in [0, 1] {
        machine.on(cpu, || engine.cpu_online().unwrap());
    }
    machine.set_auto(2, false);
    let id = u64::MAX;
    machine.cpus[2].tlb.lock().unwrap().insert((id, 7), 1);
    machine.at(Point::Relax, move || {
        machine.on(2, || engine.cpu_online().unwrap());
    });
    engine.flush_kernel_range(kernel_page(7)).unwrap();
    assert!(machine.cpus[2].tlb.lock().unwrap().is_empty());
}

/// It comes online between the initiator's barrier and its look: it has flushed by itself, or it is asked.
#[test]
fn promise_02_cpu_that_comes_online_before_the_look_is_asked() {
    let (machine, engine) = Machine::booting(2, false, 50);
    machine.on(0, || engine.cpu_online().unwrap());
    machine.at(Point::AfterStoreBarrier, move || {
        machine.on(1, || {
            engine.cpu_online().unwrap();
            machine.here().tlb.lock().unwrap().insert((u64::MAX, 7), 1);
        });
    });
    engine.flush_all().unwrap();
    assert!(machine.cpus[1].tlb.lock().unwrap().is_empty());
}

/// A CPU that leaves while it is waited for has flushed everything: the wait ends, and nothing is stale.
#[test]
fn promise_02_cpu_that_leaves_during_a_wait_is_not_waited_for_in_vain() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    machine.at(Point::Relax, move || machine.on(1, || engine.cpu_offline()));
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(machine.cached(space, 7), [None, None]);
}

/// Until its last flush is complete a leaving CPU still counts.
#[test]
fn promise_02_leaving_cpu_counts_until_it_has_flushed() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    let mut ticket = engine.start(space, leaf(7)).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    machine.at(Point::BeforeComplete, move || {
        machine.on(0, || assert!(ticket.poll().is_pending()));
        sender.send(ticket).unwrap();
    });
    machine.on(1, || engine.cpu_offline());
    assert!(receiver.recv().unwrap().poll().is_ready());
    assert_eq!(machine.cached(space, 7), [None, None]);
}

/// It left before the look: it is not asked at all, and its TLB was empty when it went.
#[test]
fn promise_02_cpu_that_has_left_is_not_interrupted() {
    let (machine, engine) = Machine::new(3, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1, 2], 7);
    machine.at(Point::AfterStoreBarrier, move || {
        machine.on(1, || engine.cpu_offline())
    });
    machine.journal.take();
    engine.flush(space, leaf(7)).unwrap();
    assert!(machine.journal.take().contains(&Event::Ipi(vec![2])));
    assert_eq!(machine.cached(space, 7), [None, None, None]);
}

/// A CPU goes and comes back while a ticket is open. It owes nothing, and later requests reach it again.
#[test]
fn promise_02_cpu_that_goes_and_returns_is_neither_missed_nor_awaited() {
    let (machine, engine) = Machine::new(2, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, [0, 1], 7);
    machine.set_auto(1, false);
    let first = engine.start(space, leaf(7)).unwrap();
    machine.on(1, || engine.cpu_offline());
    let second = engine.start(space, leaf(8)).unwrap();
    assert!(second.unanswered().cpus.is_empty(), "gone: not asked");
    machine.on(1, || engine.cpu_online().unwrap());
    first.wait().unwrap();
    second.wait().unwrap();
    machine.run_on(space, [1], 7);
    machine.set_auto(1, true);
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(machine.cached(space, 7), [None, None]);
}

/// The borrowed root goes before the CPU does: nobody tells it any more when the tables come free.
#[test]
fn promise_02_leaving_cpu_leaves_its_borrowed_root() {
    let (machine, engine) = Machine::new(2, true);
    machine.on(1, || engine.cpu_offline());
    let left = machine.cpus[1]
        .left_roots
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(left, 1);
}

#[test]
fn promise_02_device_that_attaches_during_a_wait_is_not_waited_for() {
    let (machine, engine) = Machine::new(1, true);
    let space = machine.new_space();
    let slow = FakeTlb::new(machine, "A", NEEDS);
    let _attached = engine.attach(space, slow, AttachKey(1)).unwrap();
    slow.answer(Answer::After(3));
    let late = FakeTlb::new(machine, "B", NEEDS);
    late.answer(Answer::Never);
    machine.at(Point::Relax, move || {
        let _attached = engine.attach(space, late, AttachKey(1)).unwrap();
    });
    engine.flush(space, leaf(7)).unwrap();
    assert!(late.queued().is_empty());
}
