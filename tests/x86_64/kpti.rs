//! The process's own identifier while the kernel is unmapped: bit 11 of the kernel's for the same space.

use crate::common::*;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::Flush;

/// PCID 1 with bit 11.
const USER: u64 = 0x801;
const KERNEL: u64 = 0xffff_8000_0000_0000;

fn machine(cpu: Identification) -> (World, Space) {
    let world = World::new(Config::new().kpti(), cpu, 1);
    let space = world.space();
    world.run(0, &space);
    // The process has run: what it holds from here on may be kept.
    assert_eq!(exit(&world), USER);
    assert_eq!(exit(&world), USER | KEEP);
    (world, space)
}

/// What the exit to the process loads with its own root.
fn exit(world: &World) -> u64 {
    let arch = world.engine.arch();
    arch.user_cr3_on_exit(CpuId::new(0)).0
}

#[test]
fn promise_03_kpti_drops_a_page_under_both_identifiers() {
    let (world, space) = machine(Identification::FULL);
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [MFENCE, invlpg(0x5000), invpcid(0, USER, 0x5000)]);
    assert_eq!(cost.invalidations, 2);
    assert_eq!(exit(&world), USER | KEEP);
}

#[test]
fn promise_03_kpti_without_invpcid_defers_to_the_exit_once() {
    let (world, space) = machine(Identification::NO_INVPCID);
    let (executed, _) = world.flush(&space, leaves(0x5000, 2));
    assert_eq!(executed, [MFENCE, invlpg(0x5000), invlpg(0x6000)]);
    assert_eq!(exit(&world), USER);
    assert_eq!(exit(&world), USER | KEEP);
}

/// INVPCID of one address need not drop the walk caches of levels above (Intel SDM Vol 3A 4.10.4.1).
#[test]
fn promise_08_kpti_defers_freed_tables_to_the_exit() {
    let (world, space) = machine(Identification::FULL);
    let (executed, _) = world.flush(&space, tables(0x5000, 1));
    assert_eq!(executed, [MFENCE, invlpg(0x5000)]);
    assert_eq!(exit(&world), USER);
    assert_eq!(exit(&world), USER | KEEP);
}

#[test]
fn promise_03_kpti_full_flush_reaches_the_process_on_its_exit() {
    for flush in [Flush::all(), leaves(0, 34)] {
        let (world, space) = machine(Identification::FULL);
        let (executed, _) = world.flush(&space, flush);
        assert_eq!(executed, [MFENCE, cr3(0x0020_1001)]);
        assert_eq!(exit(&world), USER);
        assert_eq!(exit(&world), USER | KEEP);
    }
}

/// The second flush finds the first one's request, and leaves it.
#[test]
fn promise_03_kpti_flushes_deferred_twice_are_carried_out() {
    let (world, space) = machine(Identification::NO_INVPCID);
    for addr in [0x5000, 0x6000] {
        world.flush(&space, page(addr));
    }
    assert_eq!(exit(&world), USER);
}

/// The bit belongs to the slot: another space's exit neither sees nor clears it.
#[test]
fn promise_03_kpti_deferred_flush_waits_for_its_own_space() {
    let (world, space) = machine(Identification::NO_INVPCID);
    world.flush(&space, page(0x5000));
    let other = world.space();
    assert_eq!(world.run(0, &other), 2);
    assert_eq!(exit(&world), 0x802);
    assert_eq!(exit(&world), 0x802 | KEEP);
    assert_eq!(world.run(0, &space), 1 | KEEP);
    assert_eq!(exit(&world), USER);
}

/// A slot that goes to another space is cleaned of the process's entries as well.
#[test]
fn promise_07_kpti_cleans_both_identifiers_of_a_slot() {
    let config = Config::new().kpti().slots(1);
    let world = World::new(config, Identification::FULL, 1);
    let [a, b] = [world.space(), world.space()];
    for space in [&a, &b, &a] {
        assert_eq!(world.run(0, space), 1);
        assert_eq!(exit(&world), USER);
        assert_eq!(exit(&world), USER | KEEP);
    }
}

/// Kernel mappings are not global then; the process maps a few of them.
#[test]
fn promise_03_kpti_kernel_page_makes_other_identifiers_unclean() {
    let (world, space) = machine(Identification::FULL);
    let other = world.space();
    world.run(0, &other);
    exit(&world);
    assert_eq!(world.run(0, &space), 1 | KEEP);
    let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
    assert_eq!(executed, [MFENCE, invlpg(KERNEL)]);
    assert_eq!(exit(&world), USER);
    assert_eq!(world.run(0, &other) & KEEP, 0);
}

/// On the kernel's own root no identifier of a process is the current one, which INVLPG would have cleaned.
#[test]
fn promise_03_kpti_kernel_page_flushed_on_the_kernels_root_makes_every_identifier_unclean() {
    let (world, space) = machine(Identification::FULL);
    world.run_kernel(0);
    assert_eq!(exit(&world), 0, "there is no process to go back to");
    world.flush_kernel(leaves(KERNEL, 1));
    assert_eq!(world.run(0, &space), 1);
    assert_eq!(exit(&world), USER);
}

/// With one identifier every loading of a root drops everything.
#[test]
fn promise_03_kpti_without_identifiers_keeps_nothing() {
    let world = World::new(Config::new().kpti(), Identification::PLAIN, 1);
    let space = world.space();
    assert_eq!(world.run(0, &space), 0);
    assert_eq!((exit(&world), exit(&world)), (0, 0));
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [MFENCE, invlpg(0x5000)]);
    // On the kernel's root there is no process to go back to.
    world.run_kernel(0);
    assert_eq!(exit(&world), 0);
}

/// Types 0 and 1 fault for any identifier but 0 while CR4.PCIDE is clear; the recorder would panic.
#[test]
fn promise_03_kpti_names_no_identifier_where_there_are_none() {
    let invpcid_alone = Identification {
        cr4: 0xa0,
        ..Identification::FULL
    };
    let world = World::new(Config::new().kpti(), invpcid_alone, 1);
    let space = world.space();
    world.run(0, &space);
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [MFENCE, invlpg(0x5000)]);
}
