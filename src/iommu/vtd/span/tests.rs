//! Blocks against a decoder with constants of its own (iommu.md 4.2's examples stand in `tests/vtd/encoding.rs`).

extern crate std;

use super::{Block, Blocks};
use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::property::properties;
use proptest::prelude::*;
use std::vec::Vec;

/// First byte and one past the last of an IOTLB operand: AM is the log2 of the pages, the address aligned to them.
fn decode_iotlb(word: u64) -> (u128, u128) {
    let length = 1u128 << (12 + (word & 0x3f));
    let first = u128::from(word & !0xfff);
    assert_eq!(
        first % length,
        0,
        "an address that is not aligned to its mask"
    );
    (first, first + length)
}

/// As above for a device TLB: with S, the lowest clear address bit `z` means a size of 2^(z+1) bytes.
fn decode_device(word: u64, sized: bool) -> (u128, u128) {
    assert_eq!(word & 0xfff, 0);
    let length = if sized {
        1u128 << (12 + (word >> 12).trailing_ones() + 1)
    } else {
        0x1000
    };
    let first = u128::from(word) / length * length;
    (first, first + length)
}

fn pages(start: u64, last: u64) -> PageRange {
    PageRange::inclusive(VirtAddr::new(start), VirtAddr::new(last), PageSize::KIB_4).unwrap()
}

/// That blocks in ascending order cover the pages without a gap and at most twice.
fn check(pages: &PageRange, blocks: &[(u128, u128)]) -> Result<(), TestCaseError> {
    let (first, end) = (
        u128::from(pages.first().raw()),
        u128::from(pages.last_byte().raw()) + 1,
    );
    let (mut at, mut total) = (first, 0);
    for &(from, to) in blocks {
        prop_assert!(from <= at, "a gap at {at:#x}");
        at = to;
        total += to - from;
    }
    prop_assert!(at >= end);
    prop_assert!(total <= 2 * (end - first));
    prop_assert!(blocks.len() <= 4);
    Ok(())
}

fn any_range() -> impl Strategy<Value = PageRange> {
    let start = prop_oneof![
        any::<u64>(),
        (u64::MAX - (1 << 20))..=u64::MAX,
        0u64..1 << 20
    ];
    (start, 0u32..64, any::<u64>()).prop_map(|(start, bits, length)| {
        pages(start, start.saturating_add(length & ((1 << bits) - 1)))
    })
}

properties! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn promise_11_device_blocks_are_at_most_twice_as_large(pages in any_range()) {
        let blocks = Blocks::for_device(&FlushRange::Pages(pages));
        let decoded: Vec<_> = blocks
            .as_slice()
            .iter()
            .map(|block| {
                let (word, sized) = block.device_word();
                decode_device(word, sized)
            })
            .collect();
        check(&pages, &decoded)?;
    }

    /// No block is larger than MAMV allows; where four of those do not hold the request there is no split at all.
    #[test]
    fn promise_11_iotlb_blocks_respect_the_largest_mask(pages in any_range(), most in 0u8..=52) {
        match Blocks::for_iotlb(&pages, most) {
            Some(blocks) => {
                let words = blocks.as_slice().iter().map(|block| block.iotlb_word());
                prop_assert!(words.clone().all(|word| word & 0x3f <= u64::from(most)));
                let decoded: Vec<_> = words.map(decode_iotlb).collect();
                check(&pages, &decoded)?;
            }
            None => prop_assert!(pages.count() > 1 << most, "one block would have done"),
        }
    }
}

#[test]
fn everything_stays_canonical() {
    assert_eq!(Block::ALL.device_word(), (0x7fff_ffff_ffff_f000, true));
}

#[test]
fn four_blocks_of_the_largest_mask_are_a_split_and_five_are_none() {
    let most = 9;
    let four = pages(0x4000_0000, 0x4000_0000 + (4 << 21) - 1);
    assert_eq!(Blocks::for_iotlb(&four, most).unwrap().as_slice().len(), 4);
    let five = pages(0x4000_0000, 0x4000_0000 + (4 << 21));
    assert_eq!(Blocks::for_iotlb(&five, most), None);
}

/// In a block of eight of the largest: those that hold none of the pages are left out.
#[test]
fn the_parts_in_the_middle_of_a_block_are_a_split() {
    let words = |blocks: Blocks| -> Vec<_> {
        let blocks = blocks.as_slice().iter();
        blocks.map(|block| block.iotlb_word()).collect()
    };
    let four = pages(0x4040_0000, 0x40bf_ffff);
    let parts = [0x4040_0009, 0x4060_0009, 0x4080_0009, 0x40a0_0009];
    assert_eq!(Blocks::for_iotlb(&four, 9).map(words), Some(parts.to_vec()));
    let three = pages(0x4000_0000, 0x405f_ffff);
    assert_eq!(
        Blocks::for_iotlb(&three, 9).map(words),
        Some([0x4000_0009, 0x4020_0009, 0x4040_0009].to_vec())
    );
}
