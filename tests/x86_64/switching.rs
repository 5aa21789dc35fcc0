//! Slots: what a CPU keeps while it runs something else, and what it may not keep.

use crate::common::*;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::arch::{HardwareId, Presence};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::Flush;

#[test]
fn promise_07_six_spaces_keep_their_entries_and_the_seventh_takes_the_place_of_the_first() {
    let world = one();
    let spaces: Vec<_> = (0..7).map(|_| world.space()).collect();
    for (space, pcid) in spaces[..6].iter().zip(1..) {
        assert_eq!(world.run(0, space), pcid);
    }
    for (space, pcid) in spaces[..6].iter().zip(1..) {
        assert_eq!(world.run(0, space), pcid | KEEP);
    }
    // Without bit 63: what the first space held under PCID 1 goes.
    assert_eq!(world.run(0, &spaces[6]), 1);
    assert_eq!(world.run(0, &spaces[0]), 2);
    assert_eq!(world.run(0, &spaces[6]), 1 | KEEP);
}

#[test]
fn promise_07_fewer_slots_are_fewer_identifiers() {
    for (asked, had) in [(0, 1), (1, 1), (2, 2), (6, 6), (7, 6), (9, 6)] {
        let world = World::new(Config::new().slots(asked), Identification::FULL, 1);
        let spaces: Vec<_> = (0..20).map(|_| world.space()).collect();
        let highest = spaces.iter().map(|space| world.run(0, space)).max();
        assert_eq!(highest, Some(had));
    }
}

/// Each CPU's identifiers are its own.
#[test]
fn promise_07_cpus_give_identifiers_independently() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [a, b] = [world.space(), world.space()];
    assert_eq!((world.run(0, &a), world.run(0, &b)), (1, 2));
    assert_eq!((world.run(1, &b), world.run(1, &a)), (1, 2));
}

#[test]
fn promise_07_without_pcids_every_switch_flushes() {
    let world = World::new(Config::new(), Identification::NO_PCID, 1);
    let [a, b] = [world.space(), world.space()];
    for space in [&a, &b, &a, &a] {
        assert_eq!(world.run(0, space), 0);
    }
    let (executed, _) = world.flush(&a, Flush::all());
    assert_eq!(executed, [MFENCE, cr3(0x0020_1000)]);
}

/// A root that was announced and not loaded has dropped nothing.
#[test]
fn promise_03_switch_that_was_not_carried_out_claims_nothing() {
    let world = one();
    let [a, b] = [world.space(), world.space()];
    world.run(0, &a);
    world.run(0, &b);
    world.flush(&a, page(0x5000));
    assert_eq!(world.engine.switch_to(&a).unwrap().0, 1);
    assert_eq!(world.run(0, &b), 2 | KEEP);
    assert_eq!(world.run(0, &a), 1);
}

/// The first half of a switch that is refused in the second. The kernel then loads a root of its own; whether or not it says so,
/// nobody knows what is loaded, and the identifier of before is brought up to nothing.
#[test]
fn promise_02_refused_switch_does_not_show_the_root_of_before() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [space, refused] = [world.space(), world.space()];
    world.run(1, &space);
    world.run(0, &space);
    world.on(1);
    let arch = world.engine.arch();
    arch.activate(
        CpuId::new(1),
        refused.hardware(),
        &mut || (),
        &mut Default::default(),
    )
    .unwrap();
    world.recorder().load_root(KERNEL_ROOT);
    world.engine.root_loaded();
    world.on(0);
    let ticket = world.engine.start(&space, page(0x5000)).unwrap();
    // INVLPG would drop the page under PCID 0.
    assert_eq!(world.serve(1), [invpcid(2, 0, 0)]);
    world.on(0);
    ticket.wait().unwrap();
    assert_eq!(world.run(1, &space), 1);
}

/// A kernel that leaves `root_loaded` out is asked too often, and flushes more than it needs to, and nothing worse.
#[test]
fn promise_02_switch_without_an_end_is_slow_and_right() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [space, other] = [world.space(), world.space()];
    let announce = |space: &Space| world.engine.switch_to(space).unwrap().0;
    world.run(1, &other);
    assert_eq!(announce(&space), 2);
    world.run(0, &other);
    let ticket = world.engine.start(&other, page(0x5000)).unwrap();
    assert_eq!(world.serve(1), [invpcid(2, 0, 0)]);
    assert_eq!(announce(&space), 2);
    world.on(0);
    ticket.wait().unwrap();
}

/// Intel SDM Vol 3A 8.2: a locked exchange is a full barrier, and so is MFENCE. The defect, in Linux until 6.18, was to skip both
/// where the CPU was a member already.
#[test]
fn promise_02_switch_is_a_full_barrier_also_for_a_member() {
    let world = one();
    let [a, b] = [world.space(), world.space()];
    for space in [&a, &b, &a, &a] {
        world.take();
        world.run(0, space);
        assert_eq!(world.take(), [MFENCE]);
    }
}

/// A switch shows itself before the generation is read, and until the root is loaded.
#[test]
fn promise_02_cpu_shows_its_switch_from_the_first_step_to_the_last() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let [space, other] = [world.space(), world.space()];
    let arch = world.engine.arch();
    let presence = |of: &Space| arch.presence(CpuId::new(0), of.id(), HardwareId(0));
    let both = || (presence(&space), presence(&other));
    assert_eq!(both(), (Presence::Elsewhere, Presence::Elsewhere));
    let mut seen = None;
    let _ = arch.activate(
        CpuId::new(0),
        space.hardware(),
        &mut || (),
        &mut Default::default(),
    );
    assert_eq!(both(), (Presence::Running, Presence::Running));
    let id = arch.enter(
        CpuId::new(0),
        space.id(),
        space.hardware(),
        HardwareId(0),
        1,
    );
    seen.replace(both());
    assert_eq!(seen, Some((Presence::Running, Presence::Running)));
    assert_eq!(id, HardwareId(1));
    arch.root_loaded(CpuId::new(0));
    assert_eq!(both(), (Presence::Running, Presence::Elsewhere));
    arch.enter_lazy(CpuId::new(0));
    assert_eq!(both(), (Presence::Lazy, Presence::Elsewhere));
    arch.enter_kernel(CpuId::new(0));
    assert_eq!(both(), (Presence::Running, Presence::Running));
    arch.root_loaded(CpuId::new(0));
    assert_eq!(both(), (Presence::Elsewhere, Presence::Elsewhere));
    // There is no root of a process to be lazy on.
    arch.enter_lazy(CpuId::new(0));
    assert!(!arch.is_lazy(CpuId::new(0), space.id()));
}

/// What a CPU held before it came online again is gone, and so is what it knew of it.
#[test]
fn promise_02_cpu_that_comes_back_begins_anew() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    world.run_kernel(0);
    world.engine.cpu_offline();
    world.take();
    world.engine.cpu_online().unwrap();
    assert_eq!(world.take(), [MFENCE, invpcid(2, 0, 0)]);
    assert_eq!(world.run(0, &space) & KEEP, 0);
}
