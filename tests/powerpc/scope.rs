//! None, local or everywhere; and how a process that has moved becomes local again.

use crate::common::*;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::flush::Flush;

fn is_local(executed: &[Executed]) -> bool {
    executed.iter().any(|(name, _)| name.starts_with("tlbiel"))
}

#[test]
fn promise_03_space_that_never_ran_costs_one_barrier() {
    let world = World::power10(2);
    let space = world.space();
    assert_eq!(world.flush(&space, Flush::all()).0, [PTESYNC]);
}

/// CPU 0 flushes a process that CPU 1 alone runs.
#[test]
fn promise_03_flush_from_elsewhere_is_broadcast() {
    let world = World::power10(2);
    let space = world.space();
    world.run(1, &space);
    assert!(!is_local(&world.flush(&space, page(0x5000)).0));
}

/// Who has switched away still holds entries under the PID.
#[test]
fn promise_03_former_cpu_is_reached() {
    let world = World::power10(2);
    let space = shared(&world);
    world.run_kernel(1);
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!((is_local(&executed), cost.ipis), (false, 0));
}

/// The second broadcast in a row that meets nobody asks the former CPU to let go, and waits for nothing. Once it has, flushes are local.
#[test]
fn promise_02_process_that_moved_becomes_local_again() {
    let world = World::power10(2);
    let space = shared(&world);
    world.run_kernel(1);
    // As long as nobody was asked, no flush looks at what each CPU says.
    let may_have_let_go = || world.engine.arch().may_have_let_go(space.hardware());
    assert_eq!(world.flush(&space, page(0x5000)).1.ipis, 0);
    assert!(!may_have_let_go());
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!((is_local(&executed), cost.ipis), (false, 1));
    assert_eq!(world.ipis(), [[1]]);
    assert!(may_have_let_go());
    // It has not answered: everybody is still reached.
    assert!(!is_local(&world.flush(&space, page(0x5000)).0));
    let dropped = world.serve(1);
    let all = ("tlbiel ric2 prs1", [BY_PID, PID_1]);
    assert_eq!(dropped, [all, PTESYNC, CP_ABORT, SLBIA_USER, ISYNC]);
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!((is_local(&executed), cost.ipis), (true, 0));
    assert_eq!(space.cpus().len(), 1);
}

/// A CPU that does not answer is not pestered: the next interrupt comes after 64 broadcasts.
#[test]
fn promise_12_silent_cpu_is_asked_again_much_later() {
    let world = World::power10(2);
    let space = shared(&world);
    world.run_kernel(1);
    let asked = |flushes: u32| -> u32 {
        (0..flushes)
            .map(|_| world.flush(&space, page(0x5000)).1.ipis)
            .sum()
    };
    assert_eq!(asked(2), 1);
    assert_eq!(asked(63), 0);
    assert_eq!(asked(1), 1);
}

/// A kernel thread that goes on under the PID leaves it first.
#[test]
fn promise_02_lazy_cpu_leaves_before_it_lets_go() {
    let world = World::power10(2);
    let space = shared(&world);
    world.idle(1);
    world.flush(&space, page(0x5000));
    world.flush(&space, page(0x5000));
    world.serve(1);
    assert_eq!(world.times_left(), 1);
    assert!(is_local(&world.flush(&space, page(0x5000)).0));
}

/// Asked, but running it again before it answers: it stays a member, and is reached.
#[test]
fn promise_02_cpu_that_runs_the_process_again_is_not_forgotten() {
    let world = World::power10(2);
    let space = shared(&world);
    world.run_kernel(1);
    world.flush(&space, page(0x5000));
    world.flush(&space, page(0x5000));
    world.run(1, &space);
    let before = world.times_left();
    world.serve(1);
    assert_eq!(world.times_left(), before, "it is no loan");
    for _ in 0..3 {
        let (executed, cost) = world.flush(&space, page(0x5000));
        assert_eq!((is_local(&executed), cost.ipis), (false, 0));
    }
}

/// Answered, and running it again before anybody looked: it is a member again, not for what it let go but for what it holds now.
#[test]
fn promise_02_cpu_that_comes_back_after_letting_go_is_a_member_again() {
    let world = World::power10(2);
    let space = shared(&world);
    world.run_kernel(1);
    world.flush(&space, page(0x5000));
    world.flush(&space, page(0x5000));
    world.serve(1);
    world.run(1, &space);
    world.run_kernel(1);
    assert!(!is_local(&world.flush(&space, page(0x5000)).0));
    // Asked anew: what it let go of before it came back says nothing.
    world.flush(&space, page(0x5000));
    assert!(!is_local(&world.flush(&space, page(0x5000)).0));
    // And once it was found to have let go, it comes back as a new member.
    world.serve(1);
    assert!(is_local(&world.flush(&space, page(0x5000)).0));
    world.run(1, &space);
    assert!(!is_local(&world.flush(&space, page(0x5000)).0));
}

/// Asked about a process that has ended meanwhile, whose PID another has by now: it lets go of nothing that the other holds.
#[test]
fn promise_07_late_answer_says_nothing_of_the_next_process() {
    let world = World::new(Config::hypervisor().pid_bits(1), POWER10, 2);
    let first = shared(&world);
    world.run_kernel(1);
    world.flush(&first, page(0x5000));
    assert_eq!(world.flush(&first, page(0x5000)).1.ipis, 1);
    world.run_kernel(0);
    world.engine.retire(&first).unwrap().wait().unwrap();
    let second = shared(&world);
    world.serve(1);
    world.run_kernel(1);
    for _ in 0..3 {
        assert!(!is_local(&world.flush(&second, page(0x5000)).0));
    }
}

/// A process with two threads is never asked about.
#[test]
fn promise_12_running_cpus_are_not_interrupted() {
    let world = World::power10(3);
    let space = world.space();
    world.run_on(3, &space);
    world.run_kernel(2);
    for _ in 0..10 {
        assert_eq!(world.flush(&space, page(0x5000)).1.ipis, 0);
    }
}

/// A process that nobody runs any more: its CPUs let go one after the other, and then there is nothing to flush.
#[test]
fn promise_03_process_that_everybody_let_go_of_costs_one_barrier() {
    let world = World::new(Config::hypervisor().ask_after(1), POWER10, 2);
    let space = shared(&world);
    world.run_kernel(1);
    world.flush(&space, page(0x5000));
    world.serve(1);
    world.run_kernel(0);
    // CPU 1 runs it, CPU 0 lets go; then the other way round, and the same once more.
    world.run(1, &space);
    world.on(1);
    world.engine.flush(&space, page(0x5000)).unwrap();
    world.serve(0);
    world.on(1);
    world.engine.flush(&space, page(0x5000)).unwrap();
    assert_eq!(space.cpus().len(), 1);
}

/// The upgrade of a page is found out by a fault, after which the entry is fetched anew.
#[test]
fn promise_09_upgrade_costs_nothing_where_faults_are_repaired() {
    let world = World::power10(2);
    let space = shared(&world);
    world.repair_spurious_faults();
    world.engine.flush_upgrade(&space, page(0x5000)).unwrap();
    assert_eq!(world.take(), [PTESYNC]);
}

#[test]
fn promise_09_upgrade_is_broadcast_where_they_are_not() {
    let world = World::power10(2);
    let space = shared(&world);
    world.engine.flush_upgrade(&space, page(0x5000)).unwrap();
    assert_eq!(world.take()[1], tlbie(0x5000, PID_1));
}
