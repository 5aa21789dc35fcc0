//! One page.

use crate::common::*;
use tlb_shootdown::address::{PageSize, RangeError, VirtAddr};
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::error::{FlushError, Refused};
use tlb_shootdown::flush::Flush;

/// ISA 3.1B, Book III 6.10.1: ptesync, tlbiel, ptesync; an unpasted COPY goes with it.
#[test]
fn promise_01_page_that_is_active_here_alone_stays_local() {
    let world = World::power10(2);
    let space = alone(&world);
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!(
        executed,
        [PTESYNC, tlbiel(0x5000, PID_1), PTESYNC, CP_ABORT]
    );
    assert_eq!(
        (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers
        ),
        (1, 1, 1)
    );
    assert_eq!(world.ipis(), [[]; 0]);
}

/// POWER9 has no COPY to abort that could keep a translation.
#[test]
fn promise_03_power9_needs_no_cp_abort() {
    let world = World::power9(2);
    let space = alone(&world);
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [PTESYNC, tlbiel(0x5000, PID_1), PTESYNC]);
}

#[test]
fn promise_03_page_of_two_cpus_is_broadcast() {
    let world = World::power10(2);
    let space = shared(&world);
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!(
        executed,
        [PTESYNC, tlbie(0x5000, PID_1), EIEIO, TLBSYNC, PTESYNC]
    );
    assert_eq!(
        (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers
        ),
        (1, 1, 1)
    );
}

/// An entry is hit by its own size alone.
#[test]
fn promise_03_every_page_size_is_named() {
    let world = World::power10(2);
    let space = shared(&world);
    let cases = [
        (PageSize::KIB_4, 0x4000_1000, 0x4000_1000),
        (PageSize::MIB_2, 0x4020_0000, 0x4020_0020),
        (PageSize::GIB_1, 0x4000_0000, 0x4000_0040),
    ];
    for (size, addr, rb) in cases {
        let (executed, _) = world.flush(&space, Flush::page(VirtAddr::new(addr), size));
        assert_eq!(executed[1], tlbie(rb, PID_1));
    }
    let world = World::new(Config::hypervisor().base_page_64k(), POWER10, 2);
    let space = shared(&world);
    let flush = Flush::page(VirtAddr::new(0x4001_0000), PageSize::KIB_64);
    assert_eq!(world.flush(&space, flush).0[1], tlbie(0x4001_00a0, PID_1));
}

/// Nobody said how large the entry is: every size that it may have.
#[test]
fn promise_03_page_of_unknown_size_is_flushed_in_every_size() {
    let world = World::power10(2);
    let space = shared(&world);
    let flush = Flush::pages(kib4(0x4020_5000, 1)).leaf_only();
    let (executed, cost) = world.flush(&space, flush);
    assert_eq!(
        executed[1..4],
        [
            tlbie(0x4020_5000, PID_1),
            tlbie(0x4020_0020, PID_1),
            tlbie(0x4000_0040, PID_1)
        ]
    );
    assert_eq!(cost.invalidations, 3);
}

/// A table of 2 MiB has come in place of a page of 2 MiB: what is smaller goes with the walk caches, which have no size.
#[test]
fn promise_08_walk_caches_go_by_an_invalidation_of_their_own() {
    let world = World::power10(2);
    let space = shared(&world);
    let (executed, cost) = world.flush(&space, tables(0x5000, 1));
    let walk_caches = ("tlbie ric1 prs1", [BY_PID, PID_1]);
    assert_eq!(executed[1..3], [walk_caches, tlbie(0x5000, PID_1)]);
    assert_eq!(cost.invalidations, 2);
    let space = alone(&world);
    let (executed, _) = world.flush(&space, tables(0x5000, 1));
    let walk_caches = ("tlbiel ric1 prs1", [BY_PID, PID_2]);
    assert_eq!(executed[1..3], [walk_caches, tlbiel(0x5000, PID_2)]);
}

#[test]
fn size_that_no_entry_has_is_refused_before_anything_is_issued() {
    let world = World::power10(2);
    let space = shared(&world);
    for size in [PageSize::KIB_16, PageSize::KIB_64, PageSize::MIB_512] {
        let flush = Flush::page(VirtAddr::new(0x4000_0000), size);
        let refused = FlushError::Refused(Refused::Range(RangeError::UnsupportedSize));
        assert_eq!(world.engine.flush(&space, flush), Err(refused));
        let fixed = world
            .engine
            .fix_spurious_fault(&space, VirtAddr::new(0), size);
        assert_eq!(fixed, Err(Refused::Range(RangeError::UnsupportedSize)));
    }
    assert_eq!(world.take(), []);
}

/// 52 bits in the first quadrant are the process's.
#[test]
fn addresses_beyond_the_quadrant_are_refused() {
    let world = World::power10(2);
    let space = shared(&world);
    let refused = FlushError::Refused(Refused::Range(RangeError::NonCanonical));
    for addr in [1 << 52, 1 << 62, 0xc000_0000_0000_0000, u64::MAX] {
        assert_eq!(world.engine.flush(&space, page(addr)), Err(refused));
    }
    let across = leaves((1 << 52) - 0x1000, 2);
    assert_eq!(world.engine.flush(&space, across), Err(refused));
    assert_eq!(world.take(), []);
    assert_eq!(
        world
            .engine
            .flush(&space, page((1 << 52) - 1))
            .map(|cost| cost.invalidations),
        Ok(1)
    );
}
