//! One page.

use crate::common::*;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::Reach::{Broadcast, Local};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Config, VaBits};

/// ASID 5 at 63:48, page number 0x12345 at 43:0; no size was named, so no hint.
#[test]
fn promise_01_page_is_store_barrier_tlbi_completion() {
    let range = pages(0x1234_5000, 0x1000, PageSize::KIB_4);
    let (executed, _) = flush_user(&full(), 5, &range, LEAF, Broadcast);
    assert_eq!(
        executed,
        [
            bare("dsb ishst"),
            on("tlbi vale1is", 0x0005_0000_0001_2345),
            bare("dsb ish")
        ]
    );
}

#[test]
fn promise_03_local_page_stays_on_this_cpu() {
    let range = pages(0x1234_5000, 0x1000, PageSize::KIB_4);
    let (executed, _) = flush_user(&full(), 5, &range, LEAF, Local);
    assert_eq!(
        executed,
        [
            bare("dsb nshst"),
            on("tlbi vale1", 0x0005_0000_0001_2345),
            bare("dsb nsh")
        ]
    );
    let (executed, _) = flush_user(&full(), 5, &range, TABLES, Local);
    assert_eq!(tlbis(&executed), [on("tlbi vae1", 0x0005_0000_0001_2345)]);
}

/// The size of the leaves is no hint once tables are concerned.
#[test]
fn promise_08_page_with_tables_drops_walk_caches_without_a_hint() {
    let range = pages(0x1234_5000, 0x1000, PageSize::KIB_4);
    let entries = tlb_shootdown::arch::Entries {
        promised_size: Some(PageSize::KIB_4),
        leaf_size: Some(PageSize::KIB_4),
        ..TABLES
    };
    let (executed, _) = flush_user(&full(), 5, &range, entries, Broadcast);
    assert_eq!(tlbis(&executed), [on("tlbi vae1is", 0x0005_0000_0001_2345)]);
}

/// TTL is granule (4 KiB: 01) and level: 3 for 4 KiB, 2 for 2 MiB, 1 for 1 GiB.
#[test]
fn promise_08_known_size_gives_the_level() {
    let cases = [
        (0x1234_5000, PageSize::KIB_4, 0x0005_7000_0001_2345),
        (0x4020_0000, PageSize::MIB_2, 0x0005_6000_0004_0200),
        (0x4000_0000, PageSize::GIB_1, 0x0005_5000_0004_0000),
    ];
    for (start, size, operand) in cases {
        let range = pages(start, size.bytes(), size);
        let (executed, _) = flush_user(&full(), 5, &range, leaf_of(size), Broadcast);
        assert_eq!(tlbis(&executed), [on("tlbi vale1is", operand)]);
    }
}

#[test]
fn promise_08_no_hint_without_the_feature_or_for_an_impossible_size() {
    let range = pages(0x1234_5000, 0x1000, PageSize::KIB_4);
    let plain_leaf = flush_user(&plain(), 5, &range, leaf_of(PageSize::KIB_4), Broadcast).0;
    let odd = PageSize::from_shift(13).expect("8 KiB");
    let odd_leaf = flush_user(&full(), 5, &range, leaf_of(odd), Broadcast).0;
    for executed in [plain_leaf, odd_leaf] {
        assert_eq!(
            tlbis(&executed),
            [on("tlbi vale1is", 0x0005_0000_0001_2345)]
        );
    }
}

/// Level 0 is a level, and not the absence of one: granule 01, level 00, VA\[55:12\] = 0x8_0000_0000.
#[test]
fn promise_08_level_0_is_named() {
    let machine = machine(
        Config::new(Granule::Kib4).va_bits(VaBits::Bits52),
        Identification::FULL,
    );
    let size = PageSize::from_shift(39).expect("512 GiB");
    let range = pages(0x8000_0000_0000, size.bytes(), size);
    let (executed, _) = flush_user(&machine, 1, &range, leaf_of(size), Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi vale1is", 0x0001_4008_0000_0000)]
    );
}

/// Of 16 KiB pages no entry at level 0 is a leaf: 2^47 bytes are 2048 blocks of 64 GiB at level 1, too many to name one by one.
#[test]
fn promise_08_level_0_is_named_for_4_kib_pages_alone() {
    let machine = machine(Config::new(Granule::Kib16), Identification::FULL);
    let size = PageSize::from_shift(47).expect("128 TiB");
    let range = pages(0, size.bytes(), size);
    let (executed, _) = flush_user(&machine, 5, &range, leaf_of(size), Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi aside1is", 0x0005_0000_0000_0000)]
    );
}

/// A page inside a larger entry: the hint is the entry's level, and the address its base.
#[test]
fn promise_08_hint_comes_with_the_base_of_the_entry() {
    let range = pages(0x4020_3000, 0x1000, PageSize::KIB_4);
    let (executed, _) = flush_user(&full(), 5, &range, leaf_of(PageSize::MIB_2), Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi vale1is", 0x0005_6000_0004_0200)]
    );
}

/// Sixteen entries that form one contiguous group may be cached one by one: TG 01, SCALE 0, NUM 7, TTL 11, base 0x40000.
#[test]
fn promise_08_contiguous_group_is_flushed_member_by_member() {
    let range = pages(0x4000_0000, 0x1_0000, PageSize::KIB_64);
    let group = leaf_of(PageSize::KIB_64);
    let (executed, _) = flush_user(&full(), 5, &range, group, Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi rvale1is", 0x0005_43e0_0004_0000)]
    );
    let (executed, _) = flush_user(&plain(), 5, &range, group, Broadcast);
    let singles: Vec<_> = (0..16)
        .map(|n| on("tlbi vale1is", 0x0005_0000_0004_0000 + n))
        .collect();
    assert_eq!(tlbis(&executed), singles);
}

/// Even and odd ASID, once each.
#[test]
fn promise_03_kpti_flushes_both_asids() {
    let machine = machine(Config::new(Granule::Kib4).kpti(), Identification::FULL);
    let range = pages(0x1234_5000, 0x1000, PageSize::KIB_4);
    let (executed, cost) = flush_user(&machine, 6, &range, LEAF, Broadcast);
    assert_eq!(
        executed,
        [
            bare("dsb ishst"),
            on("tlbi vale1is", 0x0006_0000_0001_2345),
            on("tlbi vale1is", 0x0007_0000_0001_2345),
            bare("dsb ish")
        ]
    );
    assert_eq!(cost.invalidations, 2);
}
