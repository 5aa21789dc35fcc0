//! Every constructor is total, rounds outward, and never turns a request into less than it was.

#[path = "support/property.rs"]
mod property;

use property::properties;
use proptest::prelude::*;
use tlb_shootdown::address::{FlushRange, PageRange, PageSize, RangeError, VirtAddr};
use tlb_shootdown::flush::{Depth, Flush};

fn sizes() -> impl Strategy<Value = PageSize> {
    (12_u8..=56).prop_map(|shift| PageSize::from_shift(shift).unwrap())
}

/// Addresses at which mistakes live, and others.
fn addresses() -> impl Strategy<Value = u64> {
    let edges = [
        0,
        1,
        0xfff,
        0x1000,
        (1 << 47) - 1,
        1 << 47,
        1 << 63,
        u64::MAX - 0x1000,
        u64::MAX,
    ];
    prop_oneof![proptest::sample::select(edges.to_vec()), any::<u64>()]
}

fn ranges() -> impl Strategy<Value = PageRange> {
    (addresses(), addresses(), sizes()).prop_map(|(a, b, stride)| {
        PageRange::inclusive(VirtAddr::new(a.min(b)), VirtAddr::new(a.max(b)), stride).unwrap()
    })
}

fn flushes() -> impl Strategy<Value = Flush> {
    let pages = (ranges(), any::<bool>(), proptest::option::of(sizes()));
    let pages = pages.prop_map(|(range, leaf_only, size)| {
        let flush = Flush::pages(range);
        let flush = if leaf_only { flush.leaf_only() } else { flush };
        size.map_or(flush, |size| flush.leaf_size(size))
    });
    prop_oneof![Just(Flush::all()), pages]
}

fn covers(outer: &PageRange, inner: &PageRange) -> bool {
    outer.contains(inner.first()) && outer.contains(inner.last_byte())
}

properties! {
    #[test]
    fn half_open_ranges_are_rounded_outward(start in addresses(), end in addresses(), size in sizes()) {
        let range = PageRange::new(VirtAddr::new(start), VirtAddr::new(end), size);
        match range {
            Err(RangeError::Empty) => prop_assert_eq!(start, end),
            Err(error) => prop_assert!(error == RangeError::Wraps && end < start),
            Ok(range) => {
                prop_assert!(range.first().raw() <= start && end - 1 <= range.last_byte().raw());
                prop_assert!(start - range.first().raw() < size.bytes());
                prop_assert!(range.last_byte().raw() - (end - 1) < size.bytes());
            }
        }
    }

    #[test]
    fn ranges_by_length_reach_the_top_and_never_wrap(start in addresses(), len in addresses(), size in sizes()) {
        let range = PageRange::from_len(VirtAddr::new(start), len, size);
        let last = u128::from(start) + u128::from(len);
        match range {
            Err(RangeError::Empty) => prop_assert_eq!(len, 0),
            Err(error) => prop_assert!(error == RangeError::Wraps && last > 1 << 64),
            Ok(range) => {
                prop_assert!(len > 0 && last <= 1 << 64);
                prop_assert!(range.contains(VirtAddr::new(start)));
                prop_assert!(range.contains(VirtAddr::new((last - 1) as u64)));
            }
        }
    }

    #[test]
    fn pages_hold_their_address_and_are_one(addr in addresses(), size in sizes()) {
        let page = PageRange::page(VirtAddr::new(addr), size);
        prop_assert!(page.contains(VirtAddr::new(addr)));
        prop_assert_eq!(page.count(), 1);
        prop_assert_eq!(page.last_byte().raw() - page.first().raw(), size.bytes() - 1);
    }

    #[test]
    fn other_strides_cover_the_same_bytes(range in ranges(), size in sizes()) {
        let other = range.with_stride(size);
        prop_assert!(covers(&other, &range));
        prop_assert!(other.count() >= 1 && other.count() <= 1 << 52);
    }

    #[test]
    fn hulls_cover_both(a in ranges(), b in ranges()) {
        let hull = a.hull(&b);
        prop_assert!(covers(&hull, &a) && covers(&hull, &b));
        prop_assert_eq!(hull.stride(), a.stride().min(b.stride()));
        prop_assert_eq!(hull, b.hull(&a));
    }

    #[test]
    fn promise_05_merged_flushes_cover_both_and_keep_no_broken_promise(a in flushes(), b in flushes()) {
        let merged = a.merge(&b);
        for one in [&a, &b] {
            match (merged.range(), one.range()) {
                (FlushRange::All, _) => {}
                (FlushRange::Pages(_), FlushRange::All) => prop_assert!(false, "narrowed"),
                (FlushRange::Pages(outer), FlushRange::Pages(inner)) => {
                    prop_assert!(covers(outer, inner));
                    // A stride that steps over leaf entries of the other would miss them.
                    prop_assert!(outer.stride() <= inner.stride());
                }
            }
            prop_assert!(merged.depth() >= one.depth());
            if let Some(size) = merged.known_leaf_size() {
                prop_assert_eq!(one.known_leaf_size(), Some(size));
            }
        }
    }

    #[test]
    fn promise_08_no_level_is_promised_where_tables_are_concerned(flush in flushes()) {
        if flush.depth() == Depth::Tables || *flush.range() == FlushRange::All {
            prop_assert_eq!(flush.known_leaf_size(), None);
        }
    }
}

#[test]
fn page_sizes_are_powers_from_4_kib_to_2_to_the_56() {
    let valid: Vec<u8> = (0..=u8::MAX)
        .filter(|s| PageSize::from_shift(*s).is_some())
        .collect();
    assert_eq!(
        (valid[0], valid[valid.len() - 1], valid.len()),
        (12, 56, 45)
    );
}

#[test]
fn whole_address_space_as_a_range_does_not_overflow() {
    let all = PageRange::inclusive(VirtAddr::new(0), VirtAddr::new(u64::MAX), PageSize::KIB_4);
    let all = all.unwrap();
    assert_eq!(all.count(), 1 << 52);
    assert_eq!(all.last_byte().raw(), u64::MAX);
    let open = PageRange::new(VirtAddr::new(0x1000), VirtAddr::new(0), PageSize::KIB_4);
    assert_eq!(
        open,
        Err(RangeError::Wraps),
        "an end that has wrapped to 0 is no silent no-op"
    );
}
