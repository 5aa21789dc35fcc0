use super::{Span, Spans};
use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::property::properties;
use proptest::prelude::*;

/// The block that a command word stands for, decoded as 48882 2.4.3 says: the lowest zero bit from 12 upward is half the size.
fn decode(word: u64) -> (u64, u128) {
    let addr = word & !0xfff;
    if word & 1 == 0 {
        return (addr, 0x1000);
    }
    let size = 2u128 << (addr | 0xfff).trailing_ones();
    (
        addr & (size - 1).wrapping_neg() as u64 & !((size - 1) as u64),
        size,
    )
}

fn pages(first: u64, last: u64) -> PageRange {
    PageRange::inclusive(VirtAddr::new(first), VirtAddr::new(last), PageSize::KIB_4).unwrap()
}

fn check(range: PageRange) {
    let (first, last) = (range.first().raw(), range.last_byte().raw());
    let asked = u128::from(last - first) + 1;
    let range = FlushRange::Pages(range);
    let spans = Spans::new(&range);
    let mut reached = u128::from(first);
    let mut total = 0;
    for span in spans.as_slice() {
        let (base, size) = decode(span.bits());
        assert!(u128::from(base) <= reached, "a gap before {base:#x}");
        reached = u128::from(base) + size;
        total += size;
    }
    assert!(reached > u128::from(last), "{first:#x}..={last:#x}");
    assert!(
        total <= 2 * asked || spans.widen(&range),
        "{first:#x}..={last:#x}"
    );
}

properties! {
    #[test]
    fn promise_11_blocks_cover_a_request_at_most_twice(a in any::<u64>(), b in any::<u64>(), shift in 0u32..52) {
        let (a, b) = (a >> 12, a.wrapping_add(b >> shift >> 12) >> 12);
        check(pages(a.min(b), a.max(b)));
    }

    #[test]
    fn promise_11_ranges_in_the_upper_half(a in 0u64..1 << 47, len in 1u64..1 << 40) {
        let first = 0xffff_8000_0000_0000 | a;
        check(pages(first, first.saturating_add(len)));
    }
}

#[test]
fn corners() {
    for (first, last) in [
        (0, 0),
        (0, u64::MAX),
        (u64::MAX, u64::MAX),
        (0xfff, 0x1000),
        (0x7fff_ffff_f000, 0x8000_0000_0000),
        (0x0007_ffff_ffff_f000, 0x0008_0000_0000_0000),
        (0x000f_ffff_ffff_f000, 0x0010_0000_0000_0000),
        (0x7fff_ffff_ffff_f000, 0x8000_0000_0000_0000),
    ] {
        check(pages(first, last));
    }
    assert_eq!(Spans::new(&FlushRange::All).as_slice(), [Span::ALL]);
    assert!(!Spans::ALL.widen(&FlushRange::All));
    let widen = |first, last| {
        let range = FlushRange::Pages(pages(first, last));
        Spans::new(&range).widen(&range)
    };
    assert!(widen(0x000f_ffff_ffff_f000, 0x001f_ffff_ffff_ffff));
    assert!(!widen(0, 0x0007_ffff_ffff_ffff), "the largest block");
}
