//! Ranges: how they split, and where they stop being ranges.

use crate::common::*;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::Reach::{Broadcast, Local};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Config, VaBits};

const BASE: u64 = 0x4000_0000;

fn user_leaf(machine: &Machine, start: u64, bytes: u64, size: PageSize) -> Vec<Executed> {
    let range = pages(start, bytes, size);
    tlbis(&flush_user(machine, 5, &range, leaf_of(size), Broadcast).0)
}

fn kib4(machine: &Machine, count: u64) -> Vec<Executed> {
    user_leaf(machine, BASE, count << 12, PageSize::KIB_4)
}

/// 33 = 32 + 1: SCALE 0, NUM 15, TTL 11, base 0x40000; then the odd page.
#[test]
fn promise_11_odd_page_comes_last() {
    assert_eq!(
        kib4(&full(), 33),
        [
            on("tlbi rvale1is", 0x0005_47e0_0004_0000),
            on("tlbi vale1is", 0x0005_7000_0004_0020),
        ]
    );
}

/// 2115 = 2048 + 64 + 2 + 1: scales 2, 1, 0 with NUM 0.
#[test]
fn promise_11_scales_descend() {
    assert_eq!(
        kib4(&full(), 2115),
        [
            on("tlbi rvale1is", 0x0005_6060_0004_0000),
            on("tlbi rvale1is", 0x0005_5060_0004_0800),
            on("tlbi rvale1is", 0x0005_4060_0004_0840),
            on("tlbi vale1is", 0x0005_7000_0004_0842),
        ]
    );
}

/// 64 pages are one unit of SCALE 1, not 32 of SCALE 0.
#[test]
fn promise_11_unit_of_the_larger_scale_comes_first() {
    assert_eq!(
        kib4(&full(), 64),
        [on("tlbi rvale1is", 0x0005_5060_0004_0000)]
    );
}

/// A stride of 2 MiB: 3 entries are 1536 pages, SCALE 1, NUM 23, TTL 10.
#[test]
fn promise_11_stride_above_the_page() {
    assert_eq!(
        user_leaf(&full(), BASE, 3 << 21, PageSize::MIB_2),
        [on("tlbi rvale1is", 0x0005_5bc0_0004_0000)]
    );
    let singles: Vec<_> = (0..3)
        .map(|n| on("tlbi vale1is", 0x0005_0000_0004_0000 + n * 0x200))
        .collect();
    assert_eq!(user_leaf(&plain(), BASE, 3 << 21, PageSize::MIB_2), singles);
}

/// The unit of the base is the granule: 0x4000_0000 is page 0x10000 of 16 KiB and 0x4000 of 64 KiB; TG 10 and 11.
#[test]
fn promise_11_other_granules() {
    let kib16 = machine(Config::new(Granule::Kib16), Identification::FULL);
    assert_eq!(
        user_leaf(&kib16, BASE, 3 << 14, PageSize::KIB_16),
        [
            on("tlbi rvale1is", 0x0005_8060_0001_0000),
            on("tlbi vale1is", 0x0005_b000_0004_0008),
        ]
    );
    let kib64 = machine(Config::new(Granule::Kib64), Identification::FULL);
    assert_eq!(
        user_leaf(&kib64, BASE, 3 << 16, PageSize::KIB_64),
        [
            on("tlbi rvale1is", 0x0005_c060_0000_4000),
            on("tlbi vale1is", 0x0005_f000_0004_0020),
        ]
    );
}

/// With LPA2 the base is in units of 64 KiB: single pages up to the next such boundary, 0x4001_0000, then ranges.
#[test]
fn promise_11_lpa2_aligns_to_64_kib_first() {
    let lpa2 = machine(Config::new(Granule::Kib4).lpa2(), Identification::FULL);
    assert_eq!(
        user_leaf(&lpa2, 0x4000_e000, 5 << 12, PageSize::KIB_4),
        [
            on("tlbi vale1is", 0x0005_7000_0004_000e),
            on("tlbi vale1is", 0x0005_7000_0004_000f),
            on("tlbi rvale1is", 0x0005_4060_0000_4001),
            on("tlbi vale1is", 0x0005_7000_0004_0012),
        ]
    );
}

#[test]
fn promise_11_most_operations_of_an_exact_range() {
    // One of each scale and the odd page; with LPA2 and the worst start 15 more.
    let pages = (1 << 16) + (1 << 11) + (1 << 6) + 2 + 1;
    assert_eq!(kib4(&full(), pages).len(), 5);
    let lpa2 = machine(
        Config::new(Granule::Kib4).va_bits(VaBits::Bits52),
        Identification::FULL,
    );
    let worst = user_leaf(&lpa2, BASE + 0x1000, (pages + 15) << 12, PageSize::KIB_4);
    assert_eq!(worst.len(), 20);
}

/// 2^21 pages are SCALE 3, NUM 31; one more is the whole space, and counted.
#[test]
fn promise_11_range_limit() {
    assert_eq!(
        kib4(&full(), 1 << 21),
        [on("tlbi rvale1is", 0x0005_7fe0_0004_0000)]
    );
    let range = pages(BASE, ((1 << 21) + 1) << 12, PageSize::KIB_4);
    let (executed, cost) = flush_user(&full(), 5, &range, LEAF, Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi aside1is", 0x0005_0000_0000_0000)]
    );
    assert_eq!(cost.escalations, 1);
}

/// Up to five very large entries are no reason to drop everything else. VA\[55:12\] of 512 GiB is 0x800_0000.
#[test]
fn promise_11_a_few_huge_blocks_are_not_a_whole_space() {
    let size = PageSize::from_shift(39).expect("512 GiB");
    let flush = |count: u64| {
        let range = pages(0, count << 39, size);
        let (executed, cost) = flush_user(&full(), 5, &range, LEAF, Broadcast);
        (tlbis(&executed), cost.escalations)
    };
    let five: Vec<_> = (0..5)
        .map(|n| on("tlbi vale1is", 0x0005_0000_0000_0000 + n * 0x800_0000))
        .collect();
    assert_eq!(flush(2), (five[..2].to_vec(), 0));
    assert_eq!(flush(5), (five, 0));
    let space = on("tlbi aside1is", 0x0005_0000_0000_0000);
    assert_eq!(flush(6), (vec![space], 1));
}

/// Without range operations the limit is a full table of entries: 512, 2048, 8192.
#[test]
fn promise_11_limit_without_range_operations() {
    let cases = [
        (Granule::Kib4, PageSize::KIB_4, 512),
        (Granule::Kib16, PageSize::KIB_16, 2048),
        (Granule::Kib64, PageSize::KIB_64, 8192),
    ];
    for (granule, size, limit) in cases {
        let machine = machine(Config::new(granule), Identification::PLAIN);
        let below = pages(BASE, (limit - 1) * size.bytes(), size);
        let (executed, cost) = flush_user(&machine, 5, &below, LEAF, Broadcast);
        assert_eq!(tlbis(&executed).len() as u64, limit - 1);
        assert_eq!(cost.escalations, 0);

        let at = pages(BASE, limit * size.bytes(), size);
        let (executed, cost) = flush_user(&machine, 5, &at, LEAF, Broadcast);
        assert_eq!(
            tlbis(&executed),
            [on("tlbi aside1is", 0x0005_0000_0000_0000)]
        );
        assert_eq!(cost.escalations, 1);
    }
}

#[test]
fn promise_08_range_forms_follow_depth_and_reach() {
    let range = pages(BASE, 2 << 12, PageSize::KIB_4);
    let cases = [
        (LEAF, Broadcast, "tlbi rvale1is"),
        (TABLES, Broadcast, "tlbi rvae1is"),
        (LEAF, Local, "tlbi rvale1"),
        (TABLES, Local, "tlbi rvae1"),
    ];
    for (entries, reach, name) in cases {
        let (executed, _) = flush_user(&full(), 5, &range, entries, reach);
        assert_eq!(tlbis(&executed), [on(name, 0x0005_4000_0004_0000)]);
    }
}

#[test]
fn promise_03_kpti_pairs_every_operation_of_a_range() {
    let machine = machine(Config::new(Granule::Kib4).kpti(), Identification::FULL);
    let range = pages(BASE, 3 << 12, PageSize::KIB_4);
    let (executed, cost) = flush_user(&machine, 6, &range, LEAF, Broadcast);
    assert_eq!(
        tlbis(&executed),
        [
            on("tlbi rvale1is", 0x0006_4000_0004_0000),
            on("tlbi rvale1is", 0x0007_4000_0004_0000),
            on("tlbi vale1is", 0x0006_0000_0004_0002),
            on("tlbi vale1is", 0x0007_0000_0004_0002),
        ]
    );
    assert_eq!(cost.invalidations, 4);
}
