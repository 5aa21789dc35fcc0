//! Ranges: how they are made, rounded and put together, and how two requests become one that covers both.

use crate::input::{Input, Space};
use tlb_shootdown::address::{FlushRange, PageRange, PageSize, RangeError, VirtAddr};
use tlb_shootdown::flush::{Depth, Flush};

const EVERYWHERE: Space = Space { base: 0, bits: 63 };
const STRIDES: [u8; 8] = [12, 14, 16, 21, 25, 29, 30, 56];

/// Construction, rounding, hulls and merged requests.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    constructions(&mut input);
    let (a, b) = (
        input.flush(EVERYWHERE, &STRIDES),
        input.flush(EVERYWHERE, &STRIDES),
    );
    let a = if input.below(8) == 7 { Flush::all() } else { a };
    let merged = a.merge(&b);
    assert_eq!(merged, b.merge(&a), "the order does not matter");
    assert_eq!(merged.merge(&a), merged, "what is covered adds nothing");
    for one in [&a, &b] {
        assert_includes(&merged, one);
    }
    let third = input.flush(EVERYWHERE, &STRIDES);
    assert_includes(&merged.merge(&third), &merged);
}

/// Each of the constructors gives the pages that hold a byte of the request, and refuses what is none.
fn constructions(input: &mut Input<'_>) {
    let (start, other) = (VirtAddr::new(input.word()), VirtAddr::new(input.word()));
    let stride = PageSize::from_shift(input.pick(&STRIDES)).expect("a size");
    let by_end = PageRange::new(start, other, stride);
    match start.raw().cmp(&other.raw()) {
        core::cmp::Ordering::Equal => assert_eq!(by_end, Err(RangeError::Empty)),
        core::cmp::Ordering::Greater => assert_eq!(by_end, Err(RangeError::Wraps)),
        core::cmp::Ordering::Less => {
            let pages = by_end.expect("a range");
            assert_holds(&pages, start.raw(), other.raw() - 1, stride);
            let len = other.raw() - start.raw();
            assert_eq!(PageRange::from_len(start, len, stride), Ok(pages));
        }
    }
    match start.raw().checked_add(other.raw().wrapping_sub(1)) {
        _ if other.raw() == 0 => assert_eq!(
            PageRange::from_len(start, 0, stride),
            Err(RangeError::Empty)
        ),
        None => assert_eq!(
            PageRange::from_len(start, other.raw(), stride),
            Err(RangeError::Wraps)
        ),
        Some(last) => {
            let pages = PageRange::from_len(start, other.raw(), stride).expect("a range");
            assert_holds(&pages, start.raw(), last, stride);
        }
    }
    let page = PageRange::page(start, stride);
    assert_holds(&page, start.raw(), start.raw(), stride);
    let coarse = PageSize::from_shift(input.pick(&STRIDES)).expect("a size");
    let rounded = page.with_stride(coarse);
    assert_holds(&rounded, page.first().raw(), page.last_byte().raw(), coarse);
}

/// The pages are those that hold a byte between the two addresses, and no others.
fn assert_holds(pages: &PageRange, first: u64, last: u64, stride: PageSize) {
    let bytes = u128::from(stride.bytes());
    let (from, to) = (u128::from(first) / bytes, u128::from(last) / bytes);
    assert_eq!(u128::from(pages.first().raw()), from * bytes);
    assert_eq!(u128::from(pages.last_byte().raw()), (to + 1) * bytes - 1);
    assert_eq!(u128::from(pages.count()), to - from + 1);
    assert_eq!(pages.stride(), stride);
    assert!(pages.contains(VirtAddr::new(first)) && pages.contains(VirtAddr::new(last)));
    let outside = |addr: Option<u64>| addr.is_none_or(|addr| !pages.contains(VirtAddr::new(addr)));
    assert!(outside(pages.first().raw().checked_sub(1)));
    assert!(outside(pages.last_byte().raw().checked_add(1)));
}

/// A request covers another: its addresses, its depth, its smallest entry, and no promise that the other does not make.
fn assert_includes(whole: &Flush, part: &Flush) {
    match (whole.range(), part.range()) {
        (FlushRange::All, _) => assert_eq!(whole.depth(), Depth::Tables),
        (FlushRange::Pages(_), FlushRange::All) => panic!("{whole:?} does not cover {part:?}"),
        (FlushRange::Pages(a), FlushRange::Pages(b)) => {
            assert!(a.first() <= b.first() && b.last_byte() <= a.last_byte());
            assert!(a.stride() <= b.stride());
            assert!(whole.depth() >= part.depth());
        }
    }
    if let Some(size) = whole.promised_leaf_size() {
        assert_eq!(part.promised_leaf_size(), Some(size));
    }
}
