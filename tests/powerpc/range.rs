//! Ranges: page by page up to a ceiling, by PID beyond it.

use crate::common::*;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::flush::Flush;

/// One barrier before and one closing sequence, whatever the number of pages.
#[test]
fn promise_01_pages_are_issued_back_to_back() {
    let world = World::power10(2);
    let space = shared(&world);
    let (executed, _) = world.flush(&space, leaves(0x5000, 3));
    let expected = [
        PTESYNC,
        tlbie(0x5000, PID_1),
        tlbie(0x6000, PID_1),
        tlbie(0x7000, PID_1),
        EIEIO,
        TLBSYNC,
        PTESYNC,
    ];
    assert_eq!(executed, expected);
}

/// Linux' ceilings: 33 pages everywhere, 256 here.
#[test]
fn promise_11_nothing_else_is_hit_below_the_ceilings() {
    let world = World::power10(2);
    let space = shared(&world);
    let (executed, cost) = world.flush(&space, leaves(0x5000, 33));
    assert_eq!((executed.len(), cost.escalations), (1 + 33 + 3, 0));
    let (executed, cost) = world.flush(&space, leaves(0x5000, 34));
    assert_eq!(executed[1..2], [tlbie(BY_PID, PID_1)]);
    assert_eq!((executed.len(), cost.escalations), (1 + 1 + 3, 1));

    let space = alone(&world);
    let (_, cost) = world.flush(&space, leaves(0x5000, 256));
    assert_eq!((cost.invalidations, cost.escalations), (256, 0));
    let (executed, cost) = world.flush(&space, leaves(0x5000, 257));
    let expected = [
        PTESYNC,
        tlbiel(BY_PID, PID_2),
        PTESYNC,
        CP_ABORT,
        SLBIA_USER,
        ISYNC,
    ];
    assert_eq!((executed, cost.escalations), (expected.into(), 1));
}

#[test]
fn ceilings_are_the_kernels_choice() {
    let world = World::new(Config::hypervisor().page_ceilings(2, 4), POWER10, 2);
    let space = shared(&world);
    assert_eq!(world.flush(&space, leaves(0x5000, 2)).1.invalidations, 2);
    assert_eq!(world.flush(&space, leaves(0x5000, 3)).1.invalidations, 1);
    let space = alone(&world);
    assert_eq!(world.flush(&space, leaves(0x5000, 4)).1.invalidations, 4);
    assert_eq!(world.flush(&space, leaves(0x5000, 5)).1.invalidations, 1);
}

/// By PID walk caches stay unless tables were freed.
#[test]
fn promise_08_beyond_the_ceiling_walk_caches_go_where_tables_were_freed() {
    let world = World::power10(2);
    let space = shared(&world);
    let (executed, _) = world.flush(&space, tables(0x5000, 34));
    assert_eq!(executed[1], ("tlbie ric2 prs1", [BY_PID, PID_1]));
}

/// Pages of 2 MiB count as what they are.
#[test]
fn promise_03_huge_pages_are_flushed_in_their_own_size() {
    let world = World::power10(2);
    let space = shared(&world);
    let range = PageRange::from_len(VirtAddr::new(0x4000_0000), 32 << 21, PageSize::MIB_2).unwrap();
    let flush = Flush::pages(range).leaf_only().leaf_size(PageSize::MIB_2);
    let (executed, cost) = world.flush(&space, flush);
    assert_eq!(cost.invalidations, 32);
    assert_eq!(executed[1], tlbie(0x4000_0020, PID_1));
    assert_eq!(executed[32], tlbie(0x43e0_0020, PID_1));
}

/// A table of 512 pages has become one page of 2 MiB: the small entries go one by one where they fit under the ceiling, and here with the
/// process; walk caches go in any case.
#[test]
fn promise_08_collapsed_huge_page_drops_small_entries_and_walk_caches() {
    let world = World::power10(2);
    let local = alone(&world);
    let collapsed = tables(0x4000_0000, 512);
    let (executed, _) = world.flush(&local, collapsed);
    assert_eq!(executed[1], ("tlbiel ric2 prs1", [BY_PID, PID_1]));
    // With 64 KiB pages they are few enough for this CPU alone, and for all.
    let world = World::new(Config::hypervisor().base_page_64k(), POWER10, 2);
    let space = shared(&world);
    let range = PageRange::from_len(VirtAddr::new(0x4000_0000), 1 << 21, PageSize::KIB_64).unwrap();
    let collapsed = Flush::pages(range).leaf_size(PageSize::KIB_64);
    let (executed, cost) = world.flush(&space, collapsed);
    assert_eq!(executed[1], ("tlbie ric1 prs1", [BY_PID, PID_1]));
    assert_eq!(executed[2], tlbie(0x4000_00a0, PID_1));
    assert_eq!(cost.invalidations, 1 + 32);
}

/// The stride says how small a changed entry can be.
#[test]
fn promise_03_stride_excludes_smaller_entries() {
    let world = World::power10(2);
    let space = shared(&world);
    let range = PageRange::from_len(VirtAddr::new(0x4000_0000), 2 << 21, PageSize::MIB_2).unwrap();
    let (executed, _) = world.flush(&space, Flush::pages(range).leaf_only());
    let expected = [
        tlbie(0x4000_0020, PID_1),
        tlbie(0x4020_0020, PID_1),
        tlbie(0x4000_0040, PID_1),
    ];
    assert_eq!(executed[1..4], expected);
}

/// A promise of small pages over a range with a large stride is a promise about all its bytes.
#[test]
fn promise_03_small_pages_in_a_large_stride_are_all_flushed() {
    let world = World::new(Config::hypervisor().page_ceilings(512, 512), POWER10, 2);
    let space = shared(&world);
    let range = PageRange::page(VirtAddr::new(0x4000_0000), PageSize::MIB_2);
    let flush = Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4);
    let (executed, cost) = world.flush(&space, flush);
    assert_eq!(cost.invalidations, 512);
    assert_eq!(executed[512], tlbie(0x401f_f000, PID_1));
}
