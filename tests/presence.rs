//! Who is asked: CPUs that run the space, lazy ones where tables are freed, nobody else.

mod support;

use std::sync::atomic::Ordering;
use support::{Engine, Machine, Point, Space, cpu_set, leaf, pages};
use tlb_shootdown::arch::Presence;
use tlb_shootdown::flush::Flush;

/// Four CPUs that have run the space.
fn members() -> (&'static Machine, &'static Engine, &'static Space) {
    let (machine, engine) = Machine::new(4, false);
    let space = machine.new_space();
    machine.map(space, 7, 1);
    machine.run_on(space, 0..4, 7);
    machine.journal.take();
    (machine, engine, space)
}

#[test]
fn promise_12_lazy_cpus_are_not_interrupted_for_pages() {
    let (machine, engine, space) = members();
    machine.set_presence(2, Presence::Lazy);
    let cost = engine.flush(space, leaf(7)).unwrap();
    assert_eq!(cost.ipis, 2);
    assert_eq!(machine.cpus[2].left_roots.load(Ordering::Relaxed), 0);
}

#[test]
fn promise_08_lazy_cpus_leave_where_tables_are_freed_and_are_asked_once() {
    let (machine, engine, space) = members();
    machine.set_presence(2, Presence::Lazy);
    let tables_freed = Flush::pages(pages(7, 7));
    let cost = engine.flush(space, tables_freed).unwrap();
    assert_eq!(cost.ipis, 3);
    assert_eq!(machine.cpus[2].left_roots.load(Ordering::Relaxed), 1);
    let cost = engine.flush(space, tables_freed).unwrap();
    assert_eq!(cost.ipis, 2, "it is elsewhere now");
}

#[test]
fn promise_10_lazy_cpus_leave_a_space_that_ends() {
    let (machine, engine, space) = members();
    machine.set_presence(1, Presence::Elsewhere);
    machine.set_presence(2, Presence::Lazy);
    machine.set_presence(3, Presence::Reached);
    let cost = engine.retire(space).unwrap().wait().map_err(|u| u.error);
    assert_eq!(cost.unwrap().ipis, 2, "all but the one elsewhere");
}

#[test]
fn promise_12_cpus_elsewhere_are_trimmed_where_they_are_the_most() {
    let (machine, engine, space) = members();
    machine.set_presence(1, Presence::Elsewhere);
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(space.cpus(), cpu_set([0, 1, 2, 3]), "one of three");
    machine.set_presence(2, Presence::Elsewhere);
    let cost = engine.flush(space, leaf(7)).unwrap();
    assert_eq!(cost.ipis, 1);
    assert_eq!(space.cpus(), cpu_set([0, 3]));
}

/// The CPU comes back between the look that found it elsewhere and the removal.
#[test]
fn promise_02_a_cpu_that_comes_back_while_it_is_trimmed_stays() {
    let (machine, engine, space) = members();
    for cpu in [1, 2, 3] {
        machine.set_presence(cpu, Presence::Elsewhere);
    }
    // Three looks before the trim, then one for each CPU that was taken out.
    machine.at(Point::Presence, || {});
    machine.at(Point::Presence, || {});
    machine.at(Point::Presence, || {});
    machine.at(Point::Presence, || {
        machine.set_presence(1, Presence::Running);
    });
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(space.cpus(), cpu_set([0, 1]));
}

/// A flush that falls into the moment when a member is taken out considers everybody.
#[test]
fn promise_02_a_flush_within_a_trim_misses_nobody() {
    let (machine, engine, space) = members();
    for cpu in [1, 2, 3] {
        machine.set_presence(cpu, Presence::Elsewhere);
    }
    for _ in 0..3 {
        machine.at(Point::Presence, || {});
    }
    machine.at(Point::Presence, || {
        // CPU 1 has just been taken out, and runs the space again before that is noticed.
        machine.set_presence(1, Presence::Running);
        let mut ticket = machine.on(2, || engine.start(space, leaf(7)).unwrap());
        // The trimming CPU, and the one taken out.
        assert_eq!(ticket.unanswered().cpus, cpu_set([0, 1]));
        machine.on(1, || engine.on_ipi());
        assert!(machine.on(2, || ticket.poll()).is_pending());
        assert_eq!(ticket.unanswered().cpus, cpu_set([0]));
        // The trimming CPU answers when its interrupts are on again.
        core::mem::forget(ticket);
    });
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(space.cpus(), cpu_set([0, 1]));
}
