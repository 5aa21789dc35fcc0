//! PIDs are given once, and given again only when everybody has dropped them.

use crate::common::*;
use tlb_shootdown::arch::IdError;
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::error::SwitchError;

#[test]
fn promise_07_every_space_keeps_its_pid_and_0_is_the_kernels() {
    let world = World::power10(2);
    let [one, other] = [world.space(), world.space()];
    assert_eq!(world.run(0, &one), 1);
    assert_eq!(world.run(1, &other), 2);
    assert_eq!(world.run(1, &one), 1);
    assert_eq!(world.run_kernel(1), 0);
}

/// Two bits: PIDs 1 to 3. What is given back last is given again last.
#[test]
fn promise_07_pid_is_given_again_only_after_retire_has_completed() {
    let world = World::new(Config::hypervisor().pid_bits(2), POWER10, 2);
    let spaces = [world.space(), world.space(), world.space()];
    for (space, pid) in spaces.iter().zip(1..) {
        assert_eq!(world.run(0, space), pid);
    }
    let late = world.space();
    world.on(0);
    let exhausted = Err(SwitchError::Id(IdError::Exhausted));
    assert_eq!(world.engine.switch_to(&late), exhausted);

    world.run_kernel(0);
    world.run(1, &spaces[1]);
    world.idle(1);
    world.on(0);
    let ticket = world.engine.retire(&spaces[1]).unwrap();
    assert_eq!(
        world.engine.switch_to(&late),
        exhausted,
        "CPU 1 has not left it"
    );
    world.serve(1);
    ticket.wait().unwrap();
    assert_eq!(world.run(0, &late), 2);
    for space in [&spaces[0], &spaces[2], &late] {
        world.run_kernel(0);
        world.engine.retire(space).unwrap().wait().unwrap();
    }
}

/// A switch that was refused leaves nothing behind that a later one could trip over.
#[test]
fn promise_07_exhaustion_is_typed_and_ends() {
    let world = World::new(Config::hypervisor().pid_bits(1), POWER10, 1);
    let [first, second] = [world.space(), world.space()];
    world.run(0, &first);
    assert_eq!(
        world.engine.switch_to(&second),
        Err(SwitchError::Id(IdError::Exhausted))
    );
    world.run_kernel(0);
    world.engine.retire(&first).unwrap().wait().unwrap();
    assert_eq!(world.run(0, &second), 1);
    world.run_kernel(0);
    world.engine.retire(&second).unwrap().wait().unwrap();
}

#[test]
fn pid_width_is_kept_within_what_registers_hold() {
    for (bits, last) in [(0, 1), (1, 1), (3, 7)] {
        let world = World::new(Config::hypervisor().pid_bits(bits), POWER10, 1);
        let given = (0..16).map_while(|_| {
            let space = Box::leak(Box::new(world.space()));
            world.engine.switch_to(space).ok().map(|id| id.0)
        });
        assert_eq!(given.last(), Some(last), "{bits} bits");
    }
}
