//! Roots that are loaded for nobody.

use crate::common::*;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::cpu_set::CpuId;

/// CPU 0 runs the space, CPU 1 keeps its root loaded for a kernel thread.
fn machine() -> (World, Space) {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let space = world.space();
    world.run(1, &space);
    world.idle(1, &space);
    world.run(0, &space);
    (world, space)
}

#[test]
fn promise_02_lazy_cpu_is_not_asked_for_leaves_and_catches_up_when_it_wakes() {
    let (world, space) = machine();
    assert_eq!(world.flush(&space, page(0x5000)).1.ipis, 0);
    assert_eq!(world.run(1, &space), 1);
    // It is asked again.
    assert_eq!(world.flush(&space, page(0x5000)).1.ipis, 1);
}

#[test]
fn promise_02_lazy_cpu_that_missed_nothing_keeps_its_entries() {
    let (world, space) = machine();
    assert_eq!(world.run(1, &space), 1 | KEEP);
}

/// Its walker may meet the freed tables. It leaves the root instead of flushing, and is not asked again.
#[test]
fn promise_08_lazy_cpu_leaves_the_root_where_tables_are_freed() {
    let (world, space) = machine();
    let ticket = world.engine.start(&space, tables(0x5000, 1)).unwrap();
    assert_eq!(world.ipis(), [[1]]);
    assert_eq!(world.serve(1), []);
    assert!(!world.engine.arch().is_lazy(CpuId::new(1), space.id()));
    world.on(0);
    ticket.wait().unwrap();
    assert_eq!(world.flush(&space, tables(0x5000, 1)).1.ipis, 0);
    assert_eq!(world.run(1, &space), 1);
}

/// Then no process is loaded there to go back to.
#[test]
fn promise_10_kpti_exit_after_the_root_was_left_names_no_process() {
    let world = World::new(Config::new().kpti(), Identification::FULL, 2);
    let space = world.space();
    world.run(0, &space);
    world.run(1, &space);
    world.idle(1, &space);
    world.on(0);
    let ticket = world.engine.start(&space, tables(0x5000, 1)).unwrap();
    world.serve(1);
    let arch = world.engine.arch();
    assert_eq!(arch.user_cr3_on_exit(CpuId::new(1)).0, 0);
    world.on(0);
    ticket.wait().unwrap();
}

/// The next process ends the laziness of the last.
#[test]
fn promise_02_switch_to_another_space_ends_laziness() {
    let (world, space) = machine();
    let other = world.space();
    world.run(1, &other);
    assert_eq!(world.flush(&other, page(0x5000)).1.ipis, 1);
    assert_eq!(world.flush(&space, page(0x5000)).1.ipis, 0);
}

/// Asked for one space while it borrows the root of another, a CPU keeps that one and goes on being asked for it.
#[test]
fn promise_08_request_to_leave_one_root_does_not_end_another_loan() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [ending, borrowed] = [world.space(), world.space()];
    world.run(1, &ending);
    world.run(0, &borrowed);
    let ticket = world.engine.retire(&ending).unwrap();
    // It gets round to answering only after it has switched and gone lazy on something else.
    world.run(1, &borrowed);
    world.idle(1, &borrowed);
    world.serve(1);
    assert!(world.engine.arch().is_lazy(CpuId::new(1), borrowed.id()));
    world.on(0);
    ticket.wait().unwrap();
    assert_eq!(world.flush(&borrowed, tables(0x5000, 1)).1.ipis, 1);
}

/// A kernel thread that flushes the process whose root it borrows does so under the root that is loaded.
#[test]
fn promise_03_lazy_cpu_flushes_what_it_has_loaded() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    world.idle(0, &space);
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [MFENCE, invlpg(0x5000)]);
    assert_eq!(world.run(0, &space), 1 | KEEP);
}
