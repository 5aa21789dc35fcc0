//! POWER: CPUs that let go of a process, against flushes and switches.

use super::explore;
use super::power_world::{World, cpu};

/// A CPU comes back to a process while it is flushed: it is a member still, and reached.
#[test]
fn loom_promise_02_power_switch_against_flush() {
    explore(Some(3), || {
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
    explore(Some(3), || {
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

/// The same where it has let go before either begins.
#[test]
fn loom_promise_02_power_trim_against_switch() {
    explore(Some(3), || {
        let world = World::after_a_move();
        world.unmap(0);
        cpu(&world, 1, |world| world.engine.on_ipi())
            .join()
            .unwrap();
        let switches = cpu(&world, 1, |world| {
            world.switch();
            world.touch(1);
            world.switch_to_kernel();
            world.switch();
            world.touch(1);
        });
        world.unmap(1);
        switches.join().unwrap();
    });
}
