//! POWER: CPUs that let go of a process, against flushes and switches.

use super::power_world::{World, cpu};
use super::{two_cpus, two_cpus_in_part};

/// A CPU comes back to a process while it is flushed: it is a member still, and reached.
#[test]
fn loom_promise_02_power_switch_against_flush() {
    two_cpus(|| {
        let world = World::after_a_move();
        let switches = cpu(&world, 1, |world| {
            world.switch();
            world.touch(0);
            world.touch(0);
        });
        world.unmap(0);
        switches.join().unwrap();
    });
}

/// A CPU lets go and comes back at once, while the next flush takes it out of the members: that flush reaches it, or it walks
/// afterwards.
#[test]
fn loom_promise_02_power_letting_go_against_switch() {
    two_cpus(|| {
        let world = World::after_a_move();
        world.unmap(0);
        let switches = cpu(&world, 1, |world| {
            world.engine.on_ipi();
            world.switch();
            world.touch(1);
            world.touch(1);
        });
        world.unmap(1);
        switches.join().unwrap();
    });
}

/// It has let go, and comes back while a flush takes it out of the members: the next flush finds it there again.
#[test]
fn loom_promise_02_power_trim_against_switch() {
    two_cpus_in_part(3, || {
        let world = World::after_a_move();
        world.unmap(0);
        cpu(&world, 1, |world| world.engine.on_ipi())
            .join()
            .unwrap();
        let switches = cpu(&world, 1, |world| {
            world.switch();
            world.touch(2);
            world.touch(2);
        });
        world.unmap(1);
        world.unmap(2);
        switches.join().unwrap();
    });
}

/// Asked, it answers only when it runs the process again: it drops what it holds, and lets go of nothing.
#[test]
fn loom_promise_02_power_late_answer_lets_nothing_go() {
    two_cpus(|| {
        let world = World::after_a_move();
        world.unmap(0);
        let answers = cpu(&world, 1, |world| {
            world.switch();
            world.engine.on_ipi();
            world.touch(1);
            world.touch(1);
        });
        world.unmap(1);
        answers.join().unwrap();
    });
}
