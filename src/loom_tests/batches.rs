//! Batches: their completion against CPUs that use, join and answer, and what may not overtake them.

use super::engine::{World, cpu};
use super::two_cpus;
use super::world::{become_cpu, flush};
use crate::batch::Reclaim;
use loom::sync::Arc;

/// CPUs 0 and 1 are online, and CPU 1 runs the space.
fn with_a_runner() -> Arc<World> {
    let world = World::new();
    become_cpu(1);
    world.engine.cpu_online().expect("CPU 1 fits");
    world.engine.switch_to(&world.space).expect("live");
    become_cpu(0);
    world
}

/// Unmaps the page in a batch, and frees the frame if everybody has answered after one look.
fn unmap_in_a_batch(world: &World) {
    world.page.unmap();
    let mut batch = Reclaim::<_, 1, 1>::new(&world.engine);
    batch.add(&world.space, flush()).expect("live");
    let mut flushing = batch.start().expect("CPU 0 is known");
    if flushing.poll().is_ready() {
        world.page.free();
    }
    // Who is not done must not wait here: loom's threads never spin.
    core::mem::forget(flushing);
    core::mem::forget(batch);
}

/// A flush of a batch is complete when the CPU that ran the space has answered.
#[test]
fn loom_promise_03_batch_against_answer() {
    two_cpus(|| {
        let world = with_a_runner();
        let runs = cpu(&world, 1, |world| {
            world.page.touch();
            world.engine.on_ipi();
            world.page.touch();
        });
        unmap_in_a_batch(&world);
        runs.join().unwrap();
    });
}

/// A CPU that comes to the space while it is flushed is asked, or it walks the new entry.
#[test]
fn loom_promise_02_batch_against_switch() {
    two_cpus(|| {
        let world = World::new();
        become_cpu(1);
        world.engine.cpu_online().expect("CPU 1 fits");
        become_cpu(0);
        let switches = cpu(&world, 1, |world| {
            world.engine.switch_to(&world.space).expect("live");
            world.page.touch();
        });
        unmap_in_a_batch(&world);
        switches.join().unwrap();
    });
}

/// A change put into a batch against `retire`: the one or the other is refused.
#[test]
fn loom_promise_07_batch_against_retire() {
    two_cpus(|| {
        let world = World::new();
        world.engine.switch_to(&world.space).expect("live");
        let adds = cpu(&world, 1, |world| {
            let mut batch = Reclaim::<_, 1, 1>::new(&world.engine);
            if batch.add(&world.space, flush()).is_ok() {
                world.page.access();
            }
            // It would be flushed: loom's threads never spin.
            core::mem::forget(batch);
        });
        if let Ok(ticket) = world.engine.retire(&world.space) {
            world.page.free();
            core::mem::forget(ticket);
        }
        adds.join().unwrap();
    });
}
