//! Whole processes.

use crate::common::*;
use tlb_shootdown::flush::Flush;

/// Walk caches and the entry of the process table go as well.
#[test]
fn promise_03_space_is_one_tlbie_by_pid() {
    let world = World::power10(2);
    let space = shared(&world);
    let (executed, _) = world.flush(&space, Flush::all());
    let all = ("tlbie ric2 prs1", [BY_PID, PID_1]);
    assert_eq!(executed, [PTESYNC, all, EIEIO, TLBSYNC, PTESYNC]);
}

/// ISA 3.1 has one set; effective-to-real translations are dropped apart.
#[test]
fn promise_03_space_on_this_cpu_is_one_tlbiel_on_power10() {
    let world = World::power10(2);
    let space = alone(&world);
    let (executed, cost) = world.flush(&space, Flush::all());
    let all = ("tlbiel ric2 prs1", [BY_PID, PID_1]);
    assert_eq!(
        executed,
        [PTESYNC, all, PTESYNC, CP_ABORT, SLBIA_USER, ISYNC]
    );
    assert_eq!(cost.invalidations, 1);
}

/// 128 sets on POWER9, the first of which holds what is no translation.
#[test]
fn promise_03_space_on_this_cpu_is_every_set_on_power9() {
    let world = World::power9(2);
    let space = alone(&world);
    let (executed, cost) = world.flush(&space, Flush::all());
    assert_eq!(
        executed[..2],
        [PTESYNC, ("tlbiel ric2 prs1", [BY_PID, PID_1])]
    );
    for set in 1..128 {
        let expected = tlbiel((set as u64) << 12 | BY_PID, PID_1);
        assert_eq!(executed[1 + set], expected);
    }
    assert_eq!(executed[129..], [PTESYNC, SLBIA_USER, ISYNC]);
    assert_eq!(cost.invalidations, 128);
}

/// The end of a process: the flush that drops its table entry, on every CPU.
#[test]
fn promise_07_retire_drops_everything_before_the_pid_is_given_again() {
    let world = World::power10(2);
    let space = shared(&world);
    world.run_kernel(1);
    world.run_kernel(0);
    world.take();
    world.engine.retire(&space).unwrap().wait().unwrap();
    let all = ("tlbie ric2 prs1", [BY_PID, PID_1]);
    assert_eq!(world.take(), [PTESYNC, all, EIEIO, TLBSYNC, PTESYNC]);
    assert_eq!(
        world.ipis(),
        [[]; 0],
        "who does not run it hears the broadcast"
    );
}

/// A kernel thread that goes on under the PID leaves it.
#[test]
fn promise_10_retire_has_borrowed_pids_left() {
    let world = World::power10(2);
    let space = shared(&world);
    world.idle(1);
    world.run_kernel(0);
    let ticket = world.engine.retire(&space).unwrap();
    assert_eq!(world.ipis(), [[1]]);
    let before = world.times_left();
    world.serve(1);
    assert_eq!(world.times_left(), before + 1);
    ticket.wait().unwrap();
}

/// The barrier that orders membership before the first walk is the cheap one.
#[test]
fn promise_02_switch_publishes_membership() {
    let world = World::power10(2);
    let space = world.space();
    world.take();
    assert_eq!(world.run(0, &space), 1);
    assert_eq!(world.take(), [SYNC]);
    assert_eq!(world.run_kernel(0), 0);
    assert_eq!(world.take(), []);
}

#[test]
fn promise_03_migration_completes_what_the_task_issued() {
    let world = World::power9(2);
    world.engine.before_migration();
    assert_eq!(world.take(), CLOSING);
}
