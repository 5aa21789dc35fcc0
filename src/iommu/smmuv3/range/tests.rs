//! The split against a decoder with constants of its own (IHI 0070 4.4.1.1).

extern crate std;

use super::{Plan, Shape, plan};
use crate::address::{PageRange, PageSize, VirtAddr};
use crate::flush::{Depth, Flush};
use crate::iommu::smmuv3::ids::Granule;
use crate::iommu::smmuv3::span::{RangeFields, Span};
use crate::property::properties;
use proptest::prelude::*;
use std::vec::Vec;

fn shape(granule: Granule, ranges: Option<RangeFields>) -> Shape {
    Shape {
        granule,
        va_bits: 64,
        ranges,
        limit: 512,
    }
}

/// What hardware makes of the two words: first byte, one past the last byte, TTL, leaf. Panics on what is reserved.
fn decode(span: Span, granule: Granule, wide: bool) -> (u128, u128, u64, bool) {
    let [w0, w1] = span.words();
    let (num, scale) = (w0 >> 12 & 0x1f, w0 >> 20 & 0x3f);
    let (leaf, ttl, tg) = (w1 & 1 == 1, w1 >> 8 & 3, w1 >> 10 & 3);
    assert_eq!(w0 & !0x3f1_f000, 0);
    assert_eq!(
        w1 & 0xfe & !(3 << 8 | 3 << 10),
        0,
        "reserved bits and TTL128"
    );
    assert!(scale <= if wide { 39 } else { 31 });
    let addr = u128::from(w1 & !0xfff);
    if tg == 0 {
        assert_eq!((num, scale, ttl), (0, 0, 0), "TG = 0 is one address");
        return (addr, addr, ttl, leaf);
    }
    let shift = [0, 12, 14, 16][tg as usize];
    assert_eq!(shift, granule.shift(), "TG is the granule of the tables");
    assert!(num != 0 || scale != 0 || ttl != 0, "reserved: CERROR_ILL");
    assert!(!(tg == 2 && ttl == 1 && !wide), "reserved without DS");
    // Alignment: the table of the manual, by granule and TTL.
    let aligned = match (tg, ttl) {
        (1, 1) => 30,
        (1, 2) => 21,
        (2, 1) => 36,
        (2, 2) => 25,
        (3, 1) => 42,
        (3, 2) => 29,
        _ => shift,
    };
    assert_eq!(addr % (1 << aligned), 0, "unpredictable alignment");
    (
        addr,
        addr + (u128::from(num + 1) << (scale + u64::from(shift))),
        ttl,
        leaf,
    )
}

fn granules() -> impl Strategy<Value = Granule> {
    prop::sample::select(std::vec![Granule::Kib4, Granule::Kib16, Granule::Kib64])
}

/// Ranges of all lengths anywhere, the ends of the address space included.
fn ranges() -> impl Strategy<Value = PageRange> {
    let stride = prop::sample::select(std::vec![12u8, 14, 16, 21, 25, 29, 30, 34]);
    let start = prop_oneof![
        any::<u64>(),
        0u64..1 << 24,
        (u64::MAX - (1 << 24))..=u64::MAX
    ];
    (start, 0u32..48, any::<u64>(), stride).prop_map(|(start, bits, length, stride)| {
        let last = start.saturating_add(length & ((1 << bits) - 1));
        let stride = PageSize::from_shift(stride).unwrap();
        PageRange::inclusive(VirtAddr::new(start), VirtAddr::new(last), stride).unwrap()
    })
}

/// With and without a leaf size, which need not have to do with the stride.
fn flushes() -> impl Strategy<Value = Flush> {
    let leaf = prop::sample::select(std::vec![12u8, 14, 16, 21, 25, 29, 30, 34, 36, 42]);
    (
        ranges(),
        any::<bool>(),
        prop::option::of(leaf),
        any::<bool>(),
    )
        .prop_map(|(range, leaf_only, size, as_stride)| {
            let mut flush = Flush::pages(range);
            if leaf_only {
                flush = flush.leaf_only();
            }
            if as_stride {
                flush = flush.leaf_size(range.stride());
            } else if let Some(shift) = size {
                flush = flush.leaf_size(PageSize::from_shift(shift).unwrap());
            }
            flush
        })
}

fn range_of(flush: &Flush) -> PageRange {
    match flush.range() {
        crate::address::FlushRange::Pages(pages) => *pages,
        crate::address::FlushRange::All => unreachable!(),
    }
}

properties! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Every byte asked for is covered, at most one granule more, by few commands, none of them reserved.
    #[test]
    fn promise_11_ranges_are_exact_but_for_one_page(
        flush in flushes(),
        granule in granules(),
        wide in any::<bool>(),
    ) {
        let fields = if wide { RangeFields::Wide } else { RangeFields::Narrow };
        let Plan::Spans(spans) = plan(&flush, &shape(granule, Some(fields))) else {
            return Ok(());
        };
        let size = 1u128 << granule.shift();
        let asked = range_of(&flush);
        let first = u128::from(asked.first().raw()) / size * size;
        let end = (u128::from(asked.last_byte().raw()) / size + 1) * size;
        let mut at = first;
        let mut commands = 0;
        for span in spans {
            let (from, to, ttl, leaf) = decode(span, granule, wide);
            prop_assert_eq!(from, at, "no gap and no overlap");
            at = if to == from { from + size } else { to };
            prop_assert_eq!(leaf, flush.depth() == crate::flush::Depth::Leaf);
            prop_assert!(ttl == 0 || flush.known_leaf_size().is_some(), "a hint that nobody gave");
            commands += 1;
        }
        prop_assert!(at >= end && at <= end + size, "{at:#x} for {end:#x}");
        prop_assert!(at <= 1 << 64);
        prop_assert!(commands <= 9, "{commands} commands");
    }

    /// Without range fields: one address in each entry, the smallest that the request may be made of (Arm ARM D8.2: the sizes of
    /// blocks).
    #[test]
    fn promise_11_single_addresses_are_exact(flush in flushes(), granule in granules()) {
        let Plan::Spans(spans) = plan(&flush, &shape(granule, None)) else {
            return Ok(());
        };
        let asked = range_of(&flush);
        let sizes = match granule {
            Granule::Kib4 => [30, 21, 12],
            Granule::Kib16 => [36, 25, 14],
            Granule::Kib64 => [42, 29, 16],
        };
        let size = flush.known_leaf_size().map_or(u64::MAX, PageSize::bytes).min(asked.stride().bytes());
        let step: u64 = sizes.map(|shift| 1 << shift).into_iter().find(|step| *step <= size).unwrap_or(1 << granule.shift());
        let mut expected = u128::from(asked.first().raw() & !(step.min(1 << granule.shift()) - 1));
        let mut count = 0;
        for span in spans {
            let (at, _, _, _) = decode(span, granule, false);
            prop_assert_eq!(at, expected);
            expected += u128::from(step);
            count += 1;
        }
        prop_assert!(expected > u128::from(asked.last_byte().raw()));
        prop_assert!(count <= 512);
    }
}

fn pages(start: u64, end: u64) -> Flush {
    let range = PageRange::new(VirtAddr::new(start), VirtAddr::new(end), PageSize::KIB_4);
    Flush::pages(range.unwrap())
}

fn words(flush: &Flush) -> Vec<[u64; 2]> {
    match plan(flush, &shape(Granule::Kib4, Some(RangeFields::Narrow))) {
        Plan::Spans(spans) => spans.map(Span::words).collect(),
        other => panic!("{other:?}"),
    }
}

/// Source: the arithmetic of Linux 7.1 `arm_smmu_cmdq_batch_add_range`, recomputed; the single page is TG = 0 here.
#[test]
fn the_worked_examples() {
    assert_eq!(words(&pages(0x1000, 0x5000)), [[0x20_0000, 0x1400]]);
    assert_eq!(words(&pages(0x1000, 0x2000)), [[0, 0x1000]]);
    assert_eq!(words(&pages(0x1_0000, 0x1_5000)), [[0x4000, 0x1_0400]]);
    // 33 pages go as 34.
    assert_eq!(words(&pages(0x1_0000, 0x3_1000)), [[0x11_0000, 0x1_0400]]);
    // 1000 pages: 29 << 3, 3 << 8.
    let thousand = pages(0x10_0000, 0x10_0000 + 0x3e_8000);
    assert_eq!(
        words(&thousand),
        [[0x31_c000, 0x10_0400], [0x80_2000, 0x1e_8400]]
    );
    let two_mib = pages(0x7f00_0020_0000, 0x7f00_0040_0000);
    assert_eq!(words(&two_mib), [[0x90_0000, 0x7f00_0020_0400]]);
}

/// A number that is no power of two and no reserved one either is taken as it is: 40 = 5 << 3. And the largest that there is, 2^27 pages.
#[test]
fn promise_11_numbers_that_can_be_said_are_not_rounded() {
    assert_eq!(words(&pages(0x1_0000, 0x3_8000)), [[0x30_4000, 0x1_0400]]);
    let huge = pages(0x80_0000_0000, 0x100_0000_0000);
    assert_eq!(words(&huge), [[0x1b0_0000, 0x80_0000_0400]]);
    let span = |count| {
        let (granule, fields) = (Granule::Kib4, RangeFields::Narrow);
        let addr = VirtAddr::new(0x1000);
        Span::granules(addr, granule, count, 0, None, Depth::Leaf, fields).map(Span::words)
    };
    assert_eq!(span(32), Some([0x1_f000, 0x1401]));
    assert_eq!(span(33), None);
}

/// Of leaves of 2 MiB: three pages from the start of one, three further on, and as many as it has from its second on. TTL\[9:8\] stays 0, as
/// none of them are whole entries of level 2.
#[test]
fn promise_08_a_level_is_named_for_whole_entries_alone() {
    let of = |start, end| words(&pages(start, end).leaf_only().leaf_size(PageSize::MIB_2));
    assert_eq!(of(0x20_0000, 0x20_3000), [[0x2000, 0x20_0401]]);
    assert_eq!(of(0x20_3000, 0x20_6000), [[0x2000, 0x20_3401]]);
    assert_eq!(of(0x20_1000, 0x40_1000), [[0x90_0000, 0x20_1401]]);
    assert_eq!(of(0x20_0000, 0x40_0000), [[0x90_0000, 0x20_0601]]);
}

/// Blocks of 64 GiB at level 1 of 16 KiB tables are there with DS alone (Arm ARM D8.2); without it the level is not said. TG = 2.
#[test]
fn promise_08_level_1_of_16_kib_tables_needs_wide_fields() {
    let size = PageSize::from_shift(36).unwrap();
    let block = Flush::page(VirtAddr::new(0x10_0000_0000), size);
    for (fields, ttl) in [(RangeFields::Narrow, 0), (RangeFields::Wide, 1 << 8)] {
        let Plan::Spans(spans) = plan(&block, &shape(Granule::Kib16, Some(fields))) else {
            panic!("{fields:?}");
        };
        let words: Vec<_> = spans.map(Span::words).collect();
        assert_eq!(words, [[0x160_0000, 0x10_0000_0801 | ttl]]);
    }
}

/// 33 pages that end with the last page of all: one more would be past the end.
#[test]
fn the_last_page_of_all_is_not_passed() {
    let first = VirtAddr::new(0u64.wrapping_sub(33 << 12));
    let range = PageRange::inclusive(first, VirtAddr::new(u64::MAX), PageSize::KIB_4).unwrap();
    let expected = [
        [0, 0xffff_ffff_fffd_f000],
        [0x50_0000, 0xffff_ffff_fffe_0400],
    ];
    assert_eq!(words(&Flush::pages(range)), expected);
}

#[test]
fn what_covers_the_space_is_the_space_and_what_takes_too_many_is_widened() {
    let small = Shape {
        va_bits: 48,
        ..shape(Granule::Kib4, Some(RangeFields::Narrow))
    };
    assert_eq!(plan(&pages(0, 1 << 48), &small), Plan::Whole);
    assert_eq!(plan(&Flush::all(), &small), Plan::Whole);
    let none = shape(Granule::Kib4, None);
    assert!(matches!(plan(&pages(0, 512 << 12), &none), Plan::Spans(_)));
    assert_eq!(plan(&pages(0, 513 << 12), &none), Plan::Escalated);
    // 2^48 granules need more than 31 << 31.
    assert_eq!(
        plan(
            &pages(0x1000, 1 << 60),
            &shape(Granule::Kib4, Some(RangeFields::Narrow))
        ),
        Plan::Escalated
    );
}

/// A TLB may hold the members of a contiguous group one by one (Arm ARM D8.6.1), and without range fields a command names one
/// address: so one for each member, whether the group is the stride or the leaf.
#[test]
fn promise_03_each_member_of_a_group_is_named() {
    let addresses = |flush: &Flush, granule| match plan(flush, &shape(granule, None)) {
        Plan::Spans(spans) => spans.map(|span| span.words()[1]).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let group = Flush::page(VirtAddr::new(0x1_0000), PageSize::KIB_64);
    let members: Vec<u64> = (0x10..0x20).map(|page| page << 12 | 1).collect();
    assert_eq!(addresses(&group, Granule::Kib4), members);
    let unknown = Flush::pages(PageRange::page(VirtAddr::new(0x200_0000), PageSize::MIB_32));
    let blocks: Vec<u64> = (16..32).map(|block| block << 21).collect();
    assert_eq!(addresses(&unknown, Granule::Kib4), blocks);
    assert_eq!(addresses(&unknown, Granule::Kib16), [0x200_0000]);
    // Entries smaller than the stride count as what they are.
    let small = Flush::pages(PageRange::page(VirtAddr::new(0x20_0000), PageSize::MIB_2))
        .leaf_only()
        .leaf_size(PageSize::KIB_4);
    assert_eq!(addresses(&small, Granule::Kib4).len(), 512);
}
