//! Requests that arrive in any order: partial only for the very next change, full for any later one, nothing for an earlier.

use crate::common::*;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::batch::Reclaim;

/// CPUs 0 and 1 each begin a flush of one page; CPU 2 serves them in the order of the initiators.
fn two_at_once(first: u32, second: u32) -> (Vec<Executed>, Vec<Executed>) {
    let world = World::new(Config::new(), Identification::FULL, 3);
    let space = world.space();
    for cpu in [0, 1, 2] {
        world.run(cpu, &space);
    }
    world.on(first);
    let a = world.engine.start(&space, page(0x5000)).unwrap();
    world.on(second);
    let b = world.engine.start(&space, page(0x6000)).unwrap();
    let served = world.serve(2);
    let own = world.serve(first);
    world.on(second);
    world.engine.on_ipi();
    a.wait().unwrap();
    b.wait().unwrap();
    (served, own)
}

#[test]
fn promise_05_changes_in_order_are_applied_page_by_page() {
    let (served, own) = two_at_once(0, 1);
    assert_eq!(served, [invlpg(0x5000), invlpg(0x6000)]);
    assert_eq!(own, [invlpg(0x6000)]);
}

/// CPU 1's change is the earlier one, CPU 0's request is served first: the pages of the earlier are not known yet, so everything
/// goes, and the earlier change then is an old one.
#[test]
fn promise_05_change_beyond_the_next_is_a_full_flush_and_covers_the_earlier() {
    let (served, _) = two_at_once(1, 0);
    assert_eq!(served, [cr3(0x0020_1001)]);
}

/// The entries of a slot are of the generation that was read when the root was loaded.
#[test]
fn promise_02_generation_of_a_switch_counts() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let space = world.space();
    world.run(0, &space);
    world.flush(&space, page(0x1000));
    world.flush(&space, page(0x2000));
    assert_eq!(world.run(1, &space), 1);
    world.on(0);
    let ticket = world.engine.start(&space, page(0x3000)).unwrap();
    assert_eq!(world.serve(1), [invlpg(0x3000)]);
    world.on(0);
    ticket.wait().unwrap();
    assert_eq!(world.run_kernel(1), 0);
    assert_eq!(world.run(1, &space), 1 | KEEP);
}

/// A request that widened to everything brings no generation up: the next change is then more than one away.
#[test]
fn promise_07_flush_of_everything_claims_no_generation() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let space = world.space();
    world.run(1, &space);
    world.run(0, &space);
    // A change of a space and one of the kernel in one initiator's slot are everything.
    let a = world.engine.start(&space, page(0x5000)).unwrap();
    let b = world
        .engine
        .start_kernel(page(0xffff_8000_0000_0000))
        .unwrap();
    assert_eq!(world.serve(1), [invpcid(2, 0, 0)]);
    world.on(0);
    a.wait().unwrap();
    b.wait().unwrap();
    let c = world.engine.start(&space, page(0x7000)).unwrap();
    assert_eq!(world.serve(1), [cr3(0x0020_1001)]);
    world.on(0);
    c.wait().unwrap();
}

/// It read the generation when it came back, before it got round to the request.
#[test]
fn promise_12_change_that_a_switch_has_seen_costs_nothing() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [space, other] = [world.space(), world.space()];
    world.run(1, &space);
    world.run(0, &space);
    let ticket = world.engine.start(&space, page(0x5000)).unwrap();
    world.run(1, &other);
    assert_eq!(world.run(1, &space), 1);
    assert_eq!(world.serve(1), []);
    world.on(0);
    ticket.wait().unwrap();
}

/// Two scattered pages of a batch, with or without another CPU's change between; CPU 1 is asked once for both.
fn scattered(other_between: bool) -> Vec<Executed> {
    let world = World::new(Config::new(), Identification::FULL, 3);
    let space = world.space();
    for cpu in [2, 1, 0] {
        world.run(cpu, &space);
    }
    let other = other_between.then(|| {
        world.on(2);
        let ticket = world.engine.start(&space, page(0x9000)).unwrap();
        world.on(0);
        ticket
    });
    let mut batch = Reclaim::<_, 1, 4>::new(&world.engine);
    for addr in [0x5000, 0x7000] {
        batch.add(&space, page(addr)).unwrap();
    }
    let flushing = batch.start().unwrap();
    // The slot of the lower initiator first.
    let served = world.serve(1);
    world.serve(2);
    world.serve(0);
    flushing.wait().unwrap();
    if let Some(ticket) = other {
        ticket.wait().unwrap();
    }
    served
}

/// One request covers the generations of all changes of the batch, so what lies between its pages is all that goes too many.
#[test]
fn promise_11_scattered_pages_of_a_batch_are_one_request() {
    assert_eq!(
        scattered(false),
        [invlpg(0x5000), invlpg(0x6000), invlpg(0x7000)]
    );
}

/// The other change came first and its request is served second.
#[test]
fn promise_05_batch_covers_no_generation_of_others() {
    assert_eq!(scattered(true), [cr3(0x0020_1001)]);
}
