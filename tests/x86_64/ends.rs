//! The end of a space, and the flush that an NMI does.

use crate::common::*;
use tlb_shootdown::arch::x86_64::Config;

#[test]
fn promise_07_slot_of_a_retired_space_is_free_and_unclean() {
    let world = World::new(Config::new().slots(2), Identification::FULL, 1);
    let [a, b, c] = [world.space(), world.space(), world.space()];
    world.run(0, &b);
    world.run(0, &a);
    world.run_kernel(0);
    world.engine.retire(&a).unwrap().wait().unwrap();
    // The free slot and not the one whose turn it is, and what the retired space held there goes.
    assert_eq!(world.run(0, &c), 2);
    assert_eq!(world.run(0, &b), 1 | KEEP);
}

#[test]
fn promise_10_retired_space_is_left_by_those_who_borrow_its_root() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [space, other] = [world.space(), world.space()];
    world.run(1, &space);
    world.idle(1, &space);
    world.run(0, &other);
    let ticket = world.engine.retire(&space).unwrap();
    assert_eq!(world.ipis(), [[1]]);
    world.serve(1);
    world.on(0);
    ticket.wait().unwrap();
}

fn nmi(world: &World, cpu: u32) -> Vec<Executed> {
    world.take();
    world.on(cpu);
    world.engine.on_nmi();
    world.take()
}

/// It drops everything, and no slot is brought up or freed by it.
#[test]
fn promise_04_nmi_flushes_everything_and_touches_no_slot() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [space, other] = [world.space(), world.space()];
    world.run(1, &space);
    world.run(1, &other);
    world.run(1, &space);
    assert_eq!(nmi(&world, 1), [invpcid(2, 0, 0)]);
    assert_eq!(world.run(1, &other), 2 | KEEP);
    let toggling = World::new(Config::new(), Identification::NO_INVPCID, 1);
    assert_eq!(nmi(&toggling, 0), [cr4(0x2_0020), cr4(0x2_00a0)]);
}

/// What the switch has decided cannot be known there, so the NMI answers nothing.
#[test]
fn promise_04_nmi_in_the_middle_of_a_switch_answers_nothing() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let space = world.space();
    world.run(1, &space);
    world.run(0, &space);
    let mut ticket = world.engine.start(&space, page(0x5000)).unwrap();
    ticket.escalate();
    ticket.escalate();
    world.on(1);
    world.engine.switch_to(&space).unwrap();
    assert_eq!(nmi(&world, 1), []);
    world.on(0);
    assert!(ticket.poll().is_pending());
    world.on(1);
    world.engine.root_loaded();
    assert_eq!(nmi(&world, 1), [invpcid(2, 0, 0)]);
    world.on(0);
    assert!(ticket.poll().is_ready());
}
