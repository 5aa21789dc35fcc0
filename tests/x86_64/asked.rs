//! Who is asked, and what he does.

use crate::common::*;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::batch::Reclaim;
use tlb_shootdown::flush::Flush;

fn machine(cpus: u32) -> World {
    World::new(Config::new(), Identification::FULL, cpus)
}

#[test]
fn promise_03_each_cpu_that_runs_the_space_invalidates_for_itself() {
    let world = machine(4);
    let space = world.space();
    for cpu in [3, 2, 1, 0] {
        world.run(cpu, &space);
    }
    world.take();
    let ticket = world.engine.start(&space, page(0x5000)).unwrap();
    assert_eq!(world.take(), [MFENCE, invlpg(0x5000)]);
    assert_eq!(world.ipis(), [[1, 2, 3]]);
    for cpu in [1, 2, 3] {
        assert_eq!(world.serve(cpu), [invlpg(0x5000)]);
    }
    world.on(0);
    assert_eq!(ticket.wait().unwrap().ipis, 3);
}

/// A batch of n unmaps of one space is one round: one call, and on each target as many INVLPGs as pages, or one full flush beyond 33.
#[test]
fn promise_11_batch_of_one_space_is_one_round_of_interrupts() {
    for pages in [2, 33, 34, 4096] {
        let world = machine(4);
        let space = world.space();
        for cpu in [3, 2, 1, 0] {
            world.run(cpu, &space);
        }
        let ticket = world
            .engine
            .start(&space, leaves(0x4000_0000, pages))
            .unwrap();
        assert_eq!(world.ipis(), [[1, 2, 3]]);
        for cpu in [1, 2, 3] {
            let served = world.serve(cpu);
            if pages > 33 {
                assert_eq!(served, [cr3(0x0020_1001)]);
            } else {
                assert_eq!(served.len() as u64, pages);
                assert!(served.iter().all(|(name, _)| *name == "invlpg"));
            }
        }
        world.on(0);
        assert_eq!(ticket.wait().unwrap().ipis, 3);
        assert!(world.ipis().is_empty());
    }
}

/// It has switched away, so it finds its entries too old when it comes back.
#[test]
fn promise_02_cpu_that_runs_something_else_is_not_asked_and_catches_up() {
    let world = machine(2);
    let [space, other] = [world.space(), world.space()];
    assert_eq!(world.run(1, &space), 1);
    assert_eq!(world.run(1, &other), 2);
    world.run(0, &space);
    let (_, cost) = world.flush(&space, page(0x5000));
    assert_eq!(cost.ipis, 0);
    // PCID 1 without bit 63: what it holds goes.
    assert_eq!(world.run(1, &space), 1);
    assert_eq!(world.run(1, &other), 2 | KEEP);
    assert_eq!(world.run(1, &space), 1 | KEEP);
}

#[test]
fn promise_02_cpu_on_the_kernels_root_is_not_asked() {
    let world = machine(2);
    let space = world.space();
    world.run(1, &space);
    assert_eq!(world.run_kernel(1), 0);
    world.run(0, &space);
    assert_eq!(world.flush(&space, page(0x5000)).1.ipis, 0);
}

/// Between `switch_to` and `root_loaded` nobody knows what a walker reads.
#[test]
fn promise_02_cpu_in_the_middle_of_a_switch_is_asked_for_every_space() {
    let world = machine(2);
    let [space, other] = [world.space(), world.space()];
    world.run(1, &space);
    world.run(1, &other);
    world.run(0, &space);
    world.on(1);
    world.engine.switch_to_kernel();
    world.on(0);
    let ticket = world.engine.start(&space, page(0x5000)).unwrap();
    assert_eq!(world.ipis(), [[1]]);
    // Whatever it loads next, it finds nothing.
    assert_eq!(world.serve(1), [invpcid(2, 0, 0)]);
    world.on(0);
    ticket.wait().unwrap();
}

/// A batch over several spaces, in one round: each CPU drops what it holds of the space that it runs, and in the middle of a switch
/// everything.
#[test]
fn promise_02_batch_of_several_spaces_is_asked_for_what_is_loaded() {
    let world = machine(3);
    let spaces = [world.space(), world.space()];
    let reclaim = || {
        world.on(0);
        let mut batch = Reclaim::<_, 1, 4>::new(&world.engine);
        for space in &spaces {
            batch.add(space, page(0x5000)).unwrap();
        }
        let flushing = batch.start().unwrap();
        assert_eq!(world.ipis(), [[1, 2]]);
        let served = [1, 2].map(|cpu| world.serve(cpu));
        world.on(0);
        flushing.wait().unwrap();
        served
    };
    world.run(1, &spaces[0]);
    world.run(2, &spaces[1]);
    let [first, second] = reclaim();
    assert_eq!(first, [cr3(0x0020_1001)]);
    assert_eq!(second, [cr3(0x0020_2001)]);
    for space in &spaces {
        world.run(1, space);
    }
    world.on(1);
    world.engine.switch_to_kernel();
    let [first, second] = reclaim();
    assert_eq!(first, [invpcid(2, 0, 0)]);
    assert_eq!(second, [cr3(0x0020_2001)]);
}

/// What it asks of itself, where it does not run the space, is nothing.
#[test]
fn promise_02_flush_of_a_space_that_runs_nowhere_is_left_to_the_next_switch() {
    let world = machine(1);
    let [space, other] = [world.space(), world.space()];
    world.run(0, &space);
    world.run(0, &other);
    let (executed, cost) = world.flush(&space, Flush::all());
    assert_eq!(executed, [MFENCE]);
    assert_eq!(cost.invalidations, 0);
    assert_eq!(world.run(0, &space), 1);
}

/// An interrupt that comes twice, or late, finds nothing to do.
#[test]
fn promise_05_repeated_request_costs_nothing() {
    let world = machine(2);
    let space = world.space();
    world.run(1, &space);
    world.run(0, &space);
    let ticket = world.engine.start(&space, page(0x5000)).unwrap();
    assert_eq!(world.serve(1), [invlpg(0x5000)]);
    assert_eq!(world.serve(1), []);
    world.on(0);
    ticket.wait().unwrap();
}
