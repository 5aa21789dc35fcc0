//! What every unit has to stand.

use super::{Detach, Fault, Task, Unit, World, bit, spawn, three_cpus, two_cpus};
use crate::secondary::SecondaryTlb;
use loom::sync::Arc;

/// For how many turns a detach waits where another CPU may be in its way, and where nobody is.
const TURNS: u32 = 3;
const ENOUGH: u32 = 100;

/// Two CPUs with two shootdowns each, which take the ring to its first entry again; the unit goes on when somebody looks.
pub(super) fn two_submitters<T: SecondaryTlb + 'static, U: Unit>(
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    two_cpus(move || {
        let world = new();
        let laps = world.unit.with(|unit| unit.laps());
        let other = spawn(&world, |world| {
            world.shoot(&[Task::Page(2), Task::Page(4)], 2)
        });
        let mut shots = world.shoot(&[Task::Page(1), Task::Page(3)], 2);
        shots.extend(other.join().unwrap());
        world.finish(shots);
        assert_ne!(laps, world.unit.with(|unit| unit.laps()), "no wrap");
    });
}

/// Something goes wrong under two CPUs, of which one submits again.
pub(super) fn two_in_trouble<T: SecondaryTlb + 'static, U: Unit>(
    fault: Fault,
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    two_cpus(move || {
        let world = new();
        world.unit.with(|unit| unit.arm(fault));
        let other = spawn(&world, |world| {
            world.shoot(&[Task::Page(2), Task::Page(4)], 2)
        });
        let mut shots = world.shoot(&[Task::Page(1)], 3);
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
        let others =
            [2, 3].map(|page| spawn(&world, move |world| world.shoot(&[Task::Page(page)], 2)));
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

/// One CPU releases the address space while another does this.
pub(super) fn release_against<T: SecondaryTlb + 'static, U: Unit>(
    tasks: &'static [Task],
    looks: u32,
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    two_cpus(move || {
        let world = new();
        keep_mapped(&world);
        let other = spawn(&world, move |world| world.shoot(tasks, 1));
        let mut shots = world.shoot(&[Task::Release], looks);
        shots.extend(other.join().unwrap());
        world.finish(shots);
    });
}

/// One CPU detaches the address space while another does this, or gives up and detaches it later.
pub(super) fn detach_against<T: SecondaryTlb + 'static, U: Unit>(
    detach: Detach<T>,
    tasks: &'static [Task],
    new: impl Fn() -> Arc<World<T, U>> + Send + Sync + 'static,
) {
    two_cpus(move || {
        let world = new();
        keep_mapped(&world);
        let other = spawn(&world, move |world| world.shoot(tasks, 1));
        let is_out = world.detach(detach, TURNS);
        let shots = other.join().unwrap();
        assert!(is_out || world.detach(detach, ENOUGH), "never detached");
        world.finish(shots);
    });
}

/// Two CPUs detach it.
pub(super) fn two_detaches<T: SecondaryTlb + 'static, U: Unit>(
    detach: Detach<T>,
    world: &Arc<World<T, U>>,
) {
    keep_mapped(world);
    let other = spawn(world, move |world| world.detach(detach, TURNS));
    world.detach(detach, TURNS);
    other.join().unwrap();
    assert!(world.detach(detach, ENOUGH), "never detached");
}

/// A page that is cached, and is walked for as long as the unit may.
fn keep_mapped<T, U: Unit>(world: &World<T, U>) {
    world.unit.with(|unit| {
        unit.caches().mapped = bit(9);
        unit.caches().fill(bit(9));
    });
}
