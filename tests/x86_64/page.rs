//! Pages of one space, on the CPU that runs it.

use crate::common::*;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::arch::{Arch as _, HardwareId, Reach};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;

#[test]
fn promise_01_page_is_a_full_barrier_and_one_invlpg() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    let (executed, cost) = world.flush(&space, page(0x1234_5678));
    assert_eq!(executed, [MFENCE, invlpg(0x1234_5000)]);
    let counted = [
        cost.store_barriers,
        cost.invalidations,
        cost.completion_barriers,
        cost.ipis,
    ];
    assert_eq!(counted, [1, 1, 0, 0]);
}

/// A port that flushes by itself, this CPU alone: under which identifiers the space ran here is not asked, so all go but global entries,
/// which without INVPCID go with them.
#[test]
fn promise_03_space_without_a_common_identifier_is_every_identifier_of_this_cpu() {
    for (cpu, expected) in [
        (Identification::FULL, vec![invpcid(3, 0, 0)]),
        (
            Identification::NO_INVPCID,
            vec![cr4(0x2_0020), cr4(0x2_00a0)],
        ),
    ] {
        let world = World::new(Config::new(), cpu, 1);
        let arch = world.engine.arch();
        arch.flush_tlb_space(HardwareId(0), Reach::Local, &mut Cost::default());
        assert_eq!(world.take(), expected);
    }
}

#[test]
fn promise_03_each_page_of_a_short_range_is_named_once_and_in_order() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    let (executed, _) = world.flush(&space, leaves(0x4000_0000, 3));
    let expected = [
        MFENCE,
        invlpg(0x4000_0000),
        invlpg(0x4000_1000),
        invlpg(0x4000_2000),
    ];
    assert_eq!(executed, expected);
}

/// 33 pages one by one; one more is a full flush of the identifier: the root of space 1 under PCID 1, without bit 63.
#[test]
fn promise_11_ceiling_is_33_pages() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    let (executed, _) = world.flush(&space, leaves(0x4000_0000, 33));
    assert_eq!(executed.len(), 34);
    assert_eq!(executed.last(), Some(&invlpg(0x4002_0000)));
    let (executed, cost) = world.flush(&space, leaves(0x4000_0000, 34));
    assert_eq!(executed, [MFENCE, cr3(0x0020_1001)]);
    assert_eq!(cost.invalidations, 1);
}

#[test]
fn promise_11_ceiling_is_the_kernels_to_choose() {
    let config = Config::new().ceiling(2);
    let world = World::new(config, Identification::FULL, 1);
    let space = world.space();
    world.run(0, &space);
    let count = |pages| world.flush(&space, leaves(0, pages)).0;
    assert_eq!(count(2), [MFENCE, invlpg(0), invlpg(0x1000)]);
    assert_eq!(count(3), [MFENCE, cr3(0x0020_1001)]);
}

/// A known size is one instruction for each entry; an unknown one, or one that no entry has, is one for each 4 KiB.
#[test]
fn promise_08_stride_is_the_size_of_the_leaves_only_where_that_is_known() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    let at = VirtAddr::new(0x4000_0000);
    let range = |bytes, stride| PageRange::from_len(at, bytes, stride).expect("a range");
    let blocks = Flush::pages(range(0x40_0000, PageSize::MIB_2)).leaf_only();
    let (executed, _) = world.flush(&space, blocks.leaf_size(PageSize::MIB_2));
    assert_eq!(executed, [MFENCE, invlpg(0x4000_0000), invlpg(0x4020_0000)]);
    let (executed, _) = world.flush(&space, Flush::page(at, PageSize::GIB_1));
    assert_eq!(executed, [MFENCE, invlpg(0x4000_0000)]);
    // 1024 pages of 4 KiB.
    let (executed, _) = world.flush(&space, blocks);
    assert_eq!(executed, [MFENCE, cr3(0x0020_1001)]);
    // With freed tables the size of the leaves says nothing.
    let freed = Flush::pages(range(0x40_0000, PageSize::MIB_2)).leaf_size(PageSize::MIB_2);
    let (executed, _) = world.flush(&space, freed);
    assert_eq!(executed, [MFENCE, cr3(0x0020_1001)]);
    // 64 KiB is no size of an entry here.
    let (executed, _) = world.flush(&space, Flush::page(at, PageSize::KIB_64));
    assert_eq!(executed.len(), 17);
    assert_eq!(executed[16], invlpg(0x4000_f000));
}

/// INVLPG drops all walk caches of the current identifier (Intel SDM Vol 3A 4.10.4.1), so freed tables need no more than that.
#[test]
fn promise_08_freed_tables_of_the_current_space_go_with_invlpg() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    let (executed, _) = world.flush(&space, tables(0x4000_0000, 2));
    assert_eq!(executed, [MFENCE, invlpg(0x4000_0000), invlpg(0x4000_1000)]);
}

#[test]
fn promise_03_whole_space_reloads_the_root() {
    let world = one();
    let space = world.space();
    world.run(0, &space);
    let (executed, _) = world.flush(&space, Flush::all());
    assert_eq!(executed, [MFENCE, cr3(0x0020_1001)]);
}

/// A fault drops the entry that caused it (Intel SDM Vol 3A 4.10.4.1): there is nothing to repair.
#[test]
fn promise_09_upgrades_need_no_flush_where_faults_are_repaired() {
    let world = World::new(Config::new(), Identification::FULL, 2);
    let space = world.space();
    world.run(1, &space);
    world.run(0, &space);
    world.take();
    let upgrade = || {
        let ticket = world.engine.start_upgrade(&space, page(0x1000)).unwrap();
        let executed = world.take();
        let asked = world.ipis();
        world.on(1);
        world.engine.on_ipi();
        world.on(0);
        ticket.wait().unwrap();
        (executed, asked)
    };
    // An upgrade that nobody would repair is a flush like any other.
    assert_eq!(upgrade(), (vec![MFENCE, invlpg(0x1000)], vec![vec![1]]));
    world.take();
    world.repair_spurious_faults();
    assert_eq!(upgrade(), (vec![MFENCE], vec![]));
    let at = VirtAddr::new(0x1000);
    world
        .engine
        .fix_spurious_fault(&space, at, PageSize::KIB_4)
        .unwrap();
    assert_eq!(world.take(), [MFENCE]);
}
