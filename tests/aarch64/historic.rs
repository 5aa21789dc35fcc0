//! Faults that kernels have had, one test each. Every one of them looked right in the source and was a missed invalidation.

use crate::common::*;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{AsidSlot, Config};
use tlb_shootdown::arch::{Arch, Half, HardwareId, Reach};
use tlb_shootdown::cost::Cost;

/// An address that is shifted but not masked puts its sign bits into the ASID and TTL fields.
#[test]
fn promise_03_operand_of_a_high_address_is_masked() {
    let range = pages(0xffff_8000_1234_5000, 0x1000, PageSize::KIB_4);
    let (executed, _) = flush_kernel(&plain(), &range, LEAF, Reach::Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi vaale1is", 0x0000_0ff8_0001_2345)]
    );
    let (executed, _) = flush_kernel(&full(), &range, leaf_of(PageSize::KIB_4), Reach::Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi vaale1is", 0x0000_7ff8_0001_2345)]
    );
}

/// VA\[55:12\] is in units of 4 KiB whatever the granule is: shifting by the granule names another page.
#[test]
fn promise_03_operand_of_an_address_does_not_depend_on_the_granule() {
    for (granule, size) in [
        (Granule::Kib4, PageSize::KIB_4),
        (Granule::Kib16, PageSize::KIB_16),
        (Granule::Kib64, PageSize::KIB_64),
    ] {
        let machine = machine(Config::new(granule), Identification::PLAIN);
        let range = pages(0x1235_0000, size.bytes(), size);
        let (executed, _) = flush_user(&machine, 1, &range, LEAF, Reach::Broadcast);
        assert_eq!(
            tlbis(&executed),
            [on("tlbi vale1is", 0x0001_0000_0001_2350)]
        );
    }
}

/// Without DSB ISHST the walkers may fetch the old entry again after it has been dropped.
#[test]
fn promise_01_store_barrier_comes_before_every_first_tlbi() {
    let machine = plain();
    let user = pages(0x4000_0000, 0x8000, PageSize::KIB_4);
    let kernel = pages(0xffff_8000_0000_0000, 0x8000, PageSize::KIB_4);
    for entries in [LEAF, TABLES] {
        let (of_user, _) = flush_user(&machine, 1, &user, entries, Reach::Broadcast);
        let (of_kernel, _) = flush_kernel(&machine, &kernel, entries, Reach::Broadcast);
        for executed in [of_user, of_kernel] {
            assert_eq!(executed.first(), Some(&bare("dsb ishst")));
            assert_eq!(
                executed
                    .iter()
                    .filter(|op| **op == bare("dsb ishst"))
                    .count(),
                1
            );
        }
    }
}

/// VMALLE1 and friends reach this CPU alone.
#[test]
fn promise_03_full_flush_for_everybody_is_broadcast() {
    let machine = full();
    let mut cost = Cost::ZERO;
    machine.flush_tlb_all(Reach::Broadcast, &mut cost);
    machine.flush_tlb_space(HardwareId(5), Reach::Broadcast, &mut cost);
    complete(&machine, Half::Kernel, Reach::Broadcast, &mut cost);
    assert_eq!(
        machine.instructions().take(),
        [
            bare("tlbi vmalle1is"),
            on("tlbi aside1is", 0x0005_0000_0000_0000),
            bare("dsb ish"),
            bare("isb")
        ]
    );
}

/// An ASID of 16 bits kept in 8 names somebody else's entries.
#[test]
fn promise_07_wide_asids_are_not_truncated() {
    let range = pages(0x1234_5000, 0x1000, PageSize::KIB_4);
    let (executed, _) = flush_user(&plain(), 0xffff, &range, LEAF, Reach::Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi vale1is", 0xffff_0000_0001_2345)]
    );
}

/// Where ASIDs have 8 bits, the upper half of the field is 0 (Arm ARM D8.16.1).
#[test]
fn promise_07_narrow_asids_leave_the_upper_byte_zero() {
    let machine = plain();
    assert_eq!(machine.asid_bits(), 8);
    let spaces: Vec<_> = (0..600).map(|_| AsidSlot::default()).collect();
    for space in &spaces {
        let id = activate(&machine, 0, space);
        assert!((1..=255).contains(&id.0), "{id:?}");
    }
}

/// NUM has five bits: the largest range is 31, and a 32 that is cut to 0 skips everything.
#[test]
fn promise_11_largest_range_does_not_overflow_num() {
    for pages_asked in [(1 << 21) - 1, 1 << 21] {
        let range = pages(0, pages_asked << 12, PageSize::KIB_4);
        let (executed, _) = flush_user(&full(), 1, &range, LEAF, Reach::Broadcast);
        let covered = crate::coverage::pages_covered(&tlbis(&executed), Granule::Kib4);
        assert_eq!(covered, pages_asked);
    }
}

/// The repeat is one per completion: repeated after each TLBI, it made batching pointless.
#[test]
fn promise_12_repeat_is_not_one_per_tlbi() {
    let a55 = Identification {
        midr: 0x412f_d050,
        ..Identification::PLAIN
    };
    let machine = machine(Config::new(Granule::Kib4), a55);
    let range = pages(0x4000_0000, 100 << 12, PageSize::KIB_4);
    let (executed, cost) = flush_user(&machine, 1, &range, LEAF, Reach::Broadcast);
    assert_eq!(tlbis(&executed).len(), 101);
    assert_eq!((cost.invalidations, cost.completion_barriers), (101, 2));
}
