//! What every unit has to stand.

use super::{Fault, Task, Unit, World, bit, spawn, three_cpus, two_cpus};
use crate::secondary::SecondaryTlb;
use loom::sync::Arc;
use std::vec::Vec;

/// Two CPUs with two shootdowns each; the unit goes on when somebody looks.
pub(super) fn two_submitters<T: SecondaryTlb + 'static, U: Unit>(
    fault: Fault,
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    two_cpus(move || {
        let world = new();
        world.unit.with(|unit| unit.arm(fault));
        let other = spawn(&world, |world| {
            world.shoot(&[Task::Page(2), Task::Page(4)], 2)
        });
        let mut shots = world.shoot(&[Task::Page(1), Task::Page(3)], 2);
        shots.extend(other.join().unwrap());
        world.finish(shots);
    });
}

/// Three CPUs with a shootdown each.
pub(super) fn three_submitters<T: SecondaryTlb + 'static, U: Unit>(
    fault: Fault,
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    three_cpus(move || {
        let world = new();
        world.unit.with(|unit| unit.arm(fault));
        let others = [2, 3].map(|page| spawn(&world, move |world| world.shoot(&[Task::Page(page)], 2)));
        let mut shots = world.shoot(&[Task::Page(1)], 2);
        for other in others {
            shots.extend(other.join().unwrap());
        }
        world.finish(shots);
    });
}

/// Two CPUs, and a unit that takes its steps whenever it likes, between any two accesses of the driver's.
pub(super) fn unit_by_itself<T: SecondaryTlb + 'static, U: Unit>(
    fault: Fault,
    steps: u32,
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    three_cpus(move || {
        let world = new();
        world.unit.with(|unit| unit.arm(fault));
        world.unit.set_by_itself(true);
        let unit = spawn(&world, move |world| {
            (0..steps).for_each(|_| world.unit.with(Unit::step));
        });
        let other = spawn(&world, |world| world.shoot(&[Task::Page(2)], 1));
        let mut shots = world.shoot(&[Task::Page(1)], 1);
        unit.join().unwrap();
        shots.extend(other.join().unwrap());
        world.unit.set_by_itself(false);
        world.finish(shots);
    });
}

/// One CPU releases the address space, the other flushes it and then releases it as well. A page that stays mapped is walked for as long as
/// the unit may.
pub(super) fn release_against_flush<T: SecondaryTlb + 'static, U: Unit>(
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    two_cpus(move || {
        let world = new();
        world.unit.with(|unit| unit.caches().mapped = bit(9));
        let other = spawn(&world, |world| {
            world.shoot(&[Task::Page(2), Task::Release], 1)
        });
        let mut shots: Vec<_> = world.shoot(&[Task::Release], 3);
        shots.extend(other.join().unwrap());
        world.finish(shots);
    });
}
