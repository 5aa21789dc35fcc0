//! INVLPGB: spaces that many CPUs run, and kernel mappings.
//!
//! RAX flags: 1 VA, 2 PCID, 4 ASID, 8 global, 0x10 final only. ECX: count less one. EDX: PCID from bit 16 on.

use crate::common::*;
use std::collections::HashSet;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::arch::{Arch as _, HardwareId};
use tlb_shootdown::flush::Flush;

/// The first identifier above those of the slots.
const FIRST: u64 = 7;
const KERNEL: u64 = 0xffff_8000_0000_0000;

fn machine(cpus: u32) -> World {
    World::new(Config::new(), Identification::BROADCASTS, cpus)
}

/// A space that four CPUs run under the identifier that broadcasts reach.
fn promoted() -> (World, Space) {
    let world = machine(4);
    let space = world.space();
    for cpu in [3, 2, 1, 0] {
        world.run(cpu, &space);
    }
    // The first flush gives it, the second finds everybody under it.
    world.flush(&space, page(0x1000));
    world.flush(&space, page(0x1000));
    world.flush(&space, page(0x1000));
    world.ipis();
    (world, space)
}

#[test]
fn promise_03_space_of_three_cpus_stays_with_interrupts() {
    let world = machine(3);
    let space = world.space();
    for cpu in [2, 1, 0] {
        world.run(cpu, &space);
    }
    for _ in 0..3 {
        let (executed, cost) = world.flush(&space, page(0x1000));
        assert_eq!(executed, [MFENCE, invlpg(0x1000)]);
        assert_eq!(cost.ipis, 2);
    }
}

#[test]
fn promise_03_space_that_asked_three_others_is_given_an_identifier_for_broadcasts() {
    let world = machine(4);
    let space = world.space();
    for cpu in [3, 2, 1, 0] {
        assert_eq!(world.run(cpu, &space), 1);
    }
    world.take();
    let first = world.engine.start(&space, page(0x1000)).unwrap();
    assert_eq!(world.ipis(), [[1, 2, 3]]);
    assert_eq!(world.take(), [MFENCE, invlpg(0x1000)]);
    for cpu in [1, 2, 3] {
        assert_eq!(world.serve(cpu), [invlpg(0x1000)]);
    }
    world.on(0);
    first.wait().unwrap();
    // Now everybody is told of it, and takes it up: PCID 7, whose old entries, if there were any, go. That is all.
    let broadcast = invlpgb(0x1017, 0, 7 << 16);
    let adopt = cr3(0x0020_1007);
    let second = world.engine.start(&space, page(0x1000)).unwrap();
    assert_eq!(world.ipis(), [[1, 2, 3]]);
    assert_eq!(world.take(), [MFENCE, broadcast, TLBSYNC, adopt]);
    for cpu in [1, 2, 3] {
        assert_eq!(world.serve(cpu), [adopt]);
    }
    world.on(0);
    second.wait().unwrap();
    // From here on nobody is interrupted.
    let (executed, cost) = world.flush(&space, page(0x1000));
    assert_eq!(executed, [MFENCE, broadcast, TLBSYNC]);
    assert_eq!(
        (cost.ipis, cost.invalidations, cost.completion_barriers),
        (0, 1, 1)
    );
}

/// Whoever does not run it gets the identifier at the next switch, and keeps what is cached under it for good.
#[test]
fn promise_07_every_cpu_switches_to_the_common_identifier() {
    let (world, space) = promoted();
    let other = world.space();
    for cpu in [0, 1, 2, 3] {
        assert_eq!(world.run(cpu, &other) & 0xfff, 1);
        assert_eq!(world.run(cpu, &space), FIRST | KEEP);
    }
}

/// It ran the space and left: a broadcast reaches what it holds, which it will not compare with any generation.
#[test]
fn promise_02_flush_of_a_common_identifier_is_a_broadcast_whoever_runs_it() {
    let (world, space) = promoted();
    for cpu in [1, 2, 3] {
        world.run_kernel(cpu);
    }
    for _ in 0..4 {
        let (executed, cost) = world.flush(&space, page(0x1000));
        assert_eq!(executed, [MFENCE, invlpgb(0x1017, 0, 7 << 16), TLBSYNC]);
        assert_eq!(cost.ipis, 0);
    }
}

/// What is widened says so.
#[test]
fn promise_11_broadcasts_of_too_many_pages_are_counted() {
    let (world, space) = promoted();
    for (pages, escalations) in [(33, 0), (34, 1)] {
        let (_, cost) = world.flush(&space, leaves(0x4000_0000, pages));
        assert_eq!(cost.escalations, escalations, "{pages} pages");
        let (_, cost) = world.flush_kernel(leaves(KERNEL, pages));
        assert_eq!(cost.escalations, escalations, "{pages} kernel pages");
    }
    let (_, cost) = world.flush(&space, Flush::all());
    assert_eq!(cost.escalations, 0, "all was asked for");
}

/// ceil(n / 8) instructions and one TLBSYNC; beyond the ceiling one instruction for the identifier.
#[test]
fn promise_11_broadcasts_take_the_largest_count_that_all_cpus_have() {
    let (world, space) = promoted();
    let (executed, _) = world.flush(&space, leaves(0x4000_0000, 17));
    let expected = [
        MFENCE,
        invlpgb(0x4000_0017, 7, 7 << 16),
        invlpgb(0x4000_8017, 7, 7 << 16),
        invlpgb(0x4001_0017, 0, 7 << 16),
        TLBSYNC,
    ];
    assert_eq!(executed, expected);
    for (pages, instructions) in [(1, 1), (8, 1), (9, 2), (33, 5), (34, 1), (4096, 1)] {
        let (_, cost) = world.flush(&space, leaves(0x4000_0000, pages));
        let counted = (cost.invalidations, cost.completion_barriers, cost.ipis);
        assert_eq!(counted, (instructions, 1, 0), "{pages} pages");
    }
    let (executed, _) = world.flush(&space, Flush::all());
    assert_eq!(executed, [MFENCE, invlpgb(0x6, 0, 7 << 16), TLBSYNC]);
}

/// 2 MiB leaves are 2 MiB apart: ECX bit 31.
#[test]
fn promise_08_broadcasts_know_the_stride() {
    let (world, space) = promoted();
    let at = tlb_shootdown::address::VirtAddr::new(0x4000_0000);
    let range = tlb_shootdown::address::PageRange::from_len(at, 0x60_0000, PageSize::MIB_2);
    let blocks = Flush::pages(range.unwrap()).leaf_only();
    let (executed, _) = world.flush(&space, blocks.leaf_size(PageSize::MIB_2));
    let expected = invlpgb(0x4000_0017, 0x8000_0002, 7 << 16);
    assert_eq!(executed, [MFENCE, expected, TLBSYNC]);
}

/// Flag 0x10 keeps what is above the leaves: never where tables were freed.
#[test]
fn promise_08_broadcasts_of_freed_tables_are_not_final_only() {
    let (world, space) = promoted();
    let (executed, _) = world.flush(&space, tables(0x4000_0000, 1));
    assert_eq!(
        executed,
        [MFENCE, invlpgb(0x4000_0007, 0, 7 << 16), TLBSYNC]
    );
    let (executed, _) = world.flush_kernel(tables(KERNEL, 1));
    assert_eq!(executed, [MFENCE, invlpgb(KERNEL | 0xd, 0, 0), TLBSYNC]);
}

#[test]
fn promise_03_kernel_mappings_are_broadcast_with_global_entries_under_every_identifier() {
    let world = machine(2);
    let (executed, cost) = world.flush_kernel(leaves(KERNEL, 9));
    let expected = [
        MFENCE,
        invlpgb(KERNEL | 0x1d, 7, 0),
        invlpgb(KERNEL | 0x801d, 0, 0),
        TLBSYNC,
    ];
    assert_eq!(executed, expected);
    assert_eq!(cost.ipis, 0);
    let everything = [MFENCE, invlpgb(0xc, 0, 0), TLBSYNC];
    assert_eq!(world.flush_kernel(leaves(KERNEL, 34)).0, everything);
    assert_eq!(world.flush_kernel(Flush::all()).0, everything);
}

/// One CPU alone needs no broadcast.
#[test]
fn promise_12_kernel_mappings_of_one_cpu_are_flushed_there() {
    let world = machine(1);
    let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
    assert_eq!(executed, [MFENCE, invlpg(KERNEL)]);
    let (executed, _) = world.flush_kernel(tables(KERNEL, 1));
    assert_eq!(executed, [MFENCE, invpcid(2, 0, 0)]);
}

/// A CPU that keeps the root for nobody keeps its own identifier, too, and its walker is not reached: the flush that frees
/// tables asks it.
#[test]
fn promise_08_lazy_cpu_under_its_own_identifier_holds_up_the_end_of_the_transition() {
    let world = machine(5);
    let space = world.space();
    for cpu in [4, 3, 2, 1, 0] {
        world.run(cpu, &space);
    }
    world.idle(4, &space);
    for _ in 0..4 {
        world.flush(&space, page(0x1000));
    }
    world.ipis();
    let ticket = world.engine.start(&space, tables(0x5000, 1)).unwrap();
    assert_eq!(world.ipis(), [[4]]);
    assert_eq!(world.serve(4), []);
    world.on(0);
    ticket.wait().unwrap();
    assert_eq!(world.run(4, &space), FIRST | KEEP);
}

/// Lazy under the common identifier, a CPU is reached like any other.
#[test]
fn promise_12_lazy_cpu_under_the_common_identifier_is_never_asked() {
    let (world, space) = promoted();
    world.idle(3, &space);
    let (_, cost) = world.flush(&space, tables(0x5000, 1));
    assert_eq!(cost.ipis, 0);
    assert_eq!(world.run(3, &space), FIRST | KEEP);
}

/// The broadcast may come before a CPU has left the root, whose walker then fetches entries anew: each cleans up behind itself.
#[test]
fn promise_07_common_identifier_is_clean_on_every_cpu_when_it_is_given_back() {
    let (world, space) = promoted();
    for cpu in [0, 1, 2] {
        world.run_kernel(cpu);
    }
    world.idle(3, &space);
    world.on(0);
    world.take();
    let ticket = world.engine.retire(&space).unwrap();
    assert_eq!(world.take(), [MFENCE, invlpgb(0x6, 0, 7 << 16), TLBSYNC]);
    assert_eq!(world.ipis(), [[3]]);
    assert_eq!(world.serve(3), [invpcid(1, 7, 0)]);
    world.on(0);
    ticket.wait().unwrap();
}

/// An identifier that was given back is the last to be given again.
#[test]
fn promise_07_identifiers_of_retired_spaces_come_back_last() {
    let (world, space) = promoted();
    for cpu in [0, 1, 2, 3] {
        world.run_kernel(cpu);
    }
    world.on(0);
    world.engine.retire(&space).unwrap().wait().unwrap();
    let next = world.space();
    for cpu in [3, 2, 1, 0] {
        world.run(cpu, &next);
    }
    world.flush(&next, page(0x1000));
    assert_eq!(world.run(0, &next), (FIRST + 1) | KEEP);
}

/// Linux 94a17f2dc90b: a broadcast under one identifier would leave the other of the two.
#[test]
fn promise_03_no_broadcasts_under_kpti_or_where_the_kernel_declines() {
    for config in [Config::new().kpti(), Config::new().without_broadcasts()] {
        let world = World::new(config, Identification::BROADCASTS, 4);
        let space = world.space();
        for cpu in [3, 2, 1, 0] {
            world.run(cpu, &space);
        }
        for _ in 0..3 {
            world.flush(&space, page(0x1000));
        }
        world.flush_kernel(leaves(KERNEL, 1));
        assert!(!world.engine.arch().uses_broadcasts());
        assert_eq!(world.recorder().count("invlpgb"), 0);
        assert_eq!(world.recorder().count("tlbsync"), 0);
    }
}

/// Linux 634ab76159a8: without flag 4 the instruction is not confined to the host's own ASID, and faults in a guest.
#[test]
fn promise_03_every_broadcast_names_the_hosts_asid() {
    let (world, space) = promoted();
    world.on(0);
    world.take();
    for flush in [page(0x1000), tables(0x1000, 40), Flush::all()] {
        world.engine.flush(&space, flush).unwrap();
    }
    for flush in [page(KERNEL), tables(KERNEL, 1), Flush::all()] {
        world.engine.start_kernel(flush).unwrap().wait().unwrap();
    }
    let broadcasts: Vec<_> = world.take();
    let broadcasts: Vec<_> = broadcasts
        .iter()
        .filter(|(name, _)| *name == "invlpgb")
        .collect();
    assert_eq!(broadcasts.len(), 6);
    for (_, [rax, _, edx]) in broadcasts {
        assert_eq!((rax & 4, edx & 0xffff), (4, 0));
    }
}

/// A task that moves on takes no broadcast with it: TLBSYNC waits for this CPU's alone.
#[test]
fn promise_03_migration_waits_for_broadcasts() {
    let world = machine(2);
    world.engine.before_migration();
    assert_eq!(world.take(), [TLBSYNC]);
    let world = one();
    world.engine.before_migration();
    assert_eq!(world.take(), []);
}

/// A kernel thread that flushes the process whose root it borrows stays under its own identifier: the space may be at its end.
#[test]
fn promise_07_lazy_cpu_does_not_take_up_a_common_identifier() {
    let world = machine(4);
    let space = world.space();
    for cpu in [3, 2, 1, 0] {
        world.run(cpu, &space);
    }
    world.flush(&space, page(0x1000));
    world.idle(1, &space);
    world.take();
    let ticket = world.engine.start(&space, page(0x1000)).unwrap();
    let broadcast = invlpgb(0x1017, 0, 7 << 16);
    assert_eq!(world.take(), [MFENCE, broadcast, TLBSYNC, invlpg(0x1000)]);
    for cpu in [0, 2, 3] {
        world.serve(cpu);
    }
    world.on(1);
    ticket.wait().unwrap();
}

/// Left alone in the set of members, a CPU goes on broadcasting: those that were taken out keep their entries, and compare nothing.
#[test]
fn promise_02_last_member_under_a_common_identifier_broadcasts_and_waits() {
    let world = machine(5);
    let space = world.space();
    for cpu in [4, 3, 2, 1, 0] {
        world.run(cpu, &space);
    }
    world.idle(4, &space);
    for _ in 0..3 {
        world.flush(&space, page(0x1000));
    }
    for cpu in [1, 2, 3, 4] {
        world.run_kernel(cpu);
    }
    world.flush(&space, page(0x1000));
    assert_eq!(space.cpus().len(), 1);
    let (executed, _) = world.flush(&space, page(0x1000));
    assert_eq!(executed, [MFENCE, invlpgb(0x1017, 0, 7 << 16), TLBSYNC]);
    assert_eq!(world.run(1, &space), FIRST | KEEP);
}

/// There are 4089 of them, and more spaces than that come and go.
#[test]
fn promise_07_identifiers_of_retired_spaces_come_back() {
    let world = machine(1);
    let arch = world.engine.arch();
    for _ in 0..5000 {
        let space = world.space();
        arch.was_asked_for(space.hardware(), 3);
        assert_ne!(arch.hardware_id(space.hardware()), Some(HardwareId(0)));
        arch.retire(space.hardware());
    }
}

/// As long as all are in use nobody is given another's.
#[test]
fn promise_07_identifiers_in_use_are_not_given_again() {
    let world = machine(1);
    let arch = world.engine.arch();
    let spaces: Vec<_> = (0..4090).map(|_| world.space()).collect();
    let mut given = HashSet::new();
    for space in &spaces[..4089] {
        arch.was_asked_for(space.hardware(), 3);
        let id = arch.hardware_id(space.hardware()).expect("broadcasts");
        assert!(given.insert(id), "{id:?}");
    }
    arch.was_asked_for(spaces[4089].hardware(), 3);
    assert_eq!(
        arch.hardware_id(spaces[4089].hardware()),
        Some(HardwareId(0))
    );
}
