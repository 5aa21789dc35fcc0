//! Accelerators behind a nest MMU: those that snoop `tlbie`, and those that are told.

use crate::accelerator::Accelerator;
use crate::common::*;
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Needs};
use tlb_shootdown_model::recorder::powerpc::RecordingHypervisor;

const SNOOPS: Needs = Needs::SNOOPS_BROADCASTS.union(Needs::UPGRADES);

/// `tlbiel` is not heard: what one CPU alone runs is broadcast while an accelerator shares it, and not afterwards.
#[test]
fn promise_03_snooping_accelerator_forces_broadcasts() {
    let world = World::power10(2);
    let space = alone(&world);
    let accelerator = Accelerator::new(SNOOPS);
    let attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed[1], tlbie(0x5000, PID_1));
    world.engine.detach(&space, attached).unwrap();
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed[1], tlbiel(0x5000, PID_1));
}

/// An upgrade that CPUs find out by a fault is broadcast for the accelerator, which would fault for ever.
#[test]
fn promise_09_upgrade_is_broadcast_for_an_accelerator() {
    let world = World::power10(2);
    let space = alone(&world);
    world.repair_spurious_faults();
    let accelerator = Accelerator::new(SNOOPS);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    world.take();
    world.engine.flush_upgrade(&space, page(0x5000)).unwrap();
    assert_eq!(
        world.take(),
        [PTESYNC, tlbie(0x5000, PID_1), EIEIO, TLBSYNC, PTESYNC]
    );
}

/// The nest MMU of a POWER9 keeps translations among its page walks: by PID those have to go as well. Its CPUs do not, nor POWER10.
#[test]
fn promise_08_nest_mmu_of_power9_escalates_flushes_by_pid() {
    let by_pid = leaves(0x5000, 34);
    for (pvr, with, without) in [
        (POWER9, "tlbie ric2 prs1", "tlbie ric0 prs1"),
        (POWER10, "tlbie ric0 prs1", "tlbie ric0 prs1"),
    ] {
        let world = World::new(Config::hypervisor(), pvr, 2);
        let space = shared(&world);
        assert_eq!(world.flush(&space, by_pid).0[1].0, without);
        let accelerator = Accelerator::new(SNOOPS);
        let attached = world
            .engine
            .attach(&space, accelerator, AttachKey(1))
            .unwrap();
        assert_eq!(world.flush(&space, by_pid).0[1].0, with);
        world.engine.detach(&space, attached).unwrap();
        assert_eq!(world.flush(&space, by_pid).0[1].0, without);
    }
}

/// Page by page there is nothing to escalate.
#[test]
fn promise_11_nest_mmu_of_power9_does_not_widen_pages() {
    let world = World::power9(2);
    let space = shared(&world);
    let accelerator = Accelerator::new(SNOOPS);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    assert_eq!(world.flush(&space, page(0x5000)).0[1], tlbie(0x5000, PID_1));
}

/// Linux leaves out page flushes and those of collapsed huge pages, and tells huge ranges twice.
#[test]
fn promise_03_every_flush_is_told_once() {
    let world = World::power10(2);
    let space = shared(&world);
    let accelerator = Accelerator::new(Needs::UPGRADES);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    let flushes = [
        page(0x5000),
        leaves(0x5000, 4),
        tables(0x4000_0000, 512),
        Flush::all(),
    ];
    for flush in flushes {
        world.flush(&space, flush);
        assert_eq!(accelerator.told(), [flush]);
    }
    world.engine.flush_upgrade(&space, page(0x5000)).unwrap();
    assert_eq!(accelerator.told(), [page(0x5000)]);
}

/// An accelerator with registers of its own hears nothing, so a process that runs here alone stays local.
#[test]
fn promise_12_told_accelerators_force_no_broadcast() {
    let world = World::power10(2);
    let space = alone(&world);
    let accelerator = Accelerator::new(Needs::UPGRADES);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    assert_eq!(
        world.flush(&space, page(0x5000)).0[1],
        tlbiel(0x5000, PID_1)
    );
}

/// A guest's accelerators are reached by the hypervisor.
#[test]
fn promise_03_hypervisor_is_told_of_nest_mmus() {
    let hypervisor: &'static _ = Box::leak(Box::new(RecordingHypervisor::new()));
    let world = World::new(Config::guest_without_tlbie(hypervisor), POWER10, 2);
    let space = alone(&world);
    let accelerator = Accelerator::new(SNOOPS);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    world.flush(&space, page(0x5000));
    let targets: Vec<_> = hypervisor.take().iter().map(|call| call.target).collect();
    assert_eq!(targets, [0b101]);
}

/// No CPU has run the process yet, and an accelerator does.
#[test]
fn promise_03_process_that_never_ran_is_flushed_for_its_accelerator() {
    let world = World::power10(2);
    let space = world.space();
    let pid = world.engine.arch().assign_pid(space.hardware()).unwrap();
    let accelerator = Accelerator::new(SNOOPS);
    let attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!((pid.0, executed[1]), (1, tlbie(0x5000, PID_1)));
    world.engine.detach(&space, attached).unwrap();
    assert_eq!(world.flush(&space, page(0x5000)).0, [PTESYNC]);
    assert_eq!(world.run(0, &space), 1);
}

/// Nobody runs the process any more, and an accelerator still does.
#[test]
fn promise_03_process_without_cpus_is_flushed_for_its_accelerator() {
    let world = World::power10(2);
    let space = alone(&world);
    let accelerator = Accelerator::new(SNOOPS);
    let _attached = world
        .engine
        .attach(&space, accelerator, AttachKey(1))
        .unwrap();
    world.run_kernel(0);
    for _ in 0..4 {
        let (executed, cost) = world.flush(&space, page(0x5000));
        assert_eq!((executed[1], cost.ipis), (tlbie(0x5000, PID_1), 0));
    }
}
