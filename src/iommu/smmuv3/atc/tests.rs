//! Blocks against a decoder with constants of its own (IHI 0070 4.5.1).

extern crate std;

use super::{AtcBlock, AtcBlocks};
use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::property::properties;
use proptest::prelude::*;
use std::vec::Vec;

/// First byte and one past the last, as a device takes it: low 12 + Size bits of the address do not count.
fn decode(block: AtcBlock) -> (u128, u128) {
    let word = block.word();
    let size = word & 0x3f;
    assert!(size <= 52, "more than everything");
    assert_eq!(word & 0xfc0, 0);
    let length = 1u128 << (12 + size);
    let first = u128::from(word & !0xfff) / length * length;
    (first, first + length)
}

fn range(start: u64, last: u64) -> FlushRange {
    let pages = PageRange::inclusive(VirtAddr::new(start), VirtAddr::new(last), PageSize::KIB_4);
    FlushRange::Pages(pages.unwrap())
}

fn words(start: u64, last: u64, stu_shift: u8) -> Vec<u64> {
    let blocks = AtcBlocks::new(&range(start, last), stu_shift);
    blocks.as_slice().iter().map(|block| block.word()).collect()
}

properties! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Everything asked for is covered, at most twice as much, by blocks no smaller than the device's unit.
    #[test]
    fn promise_11_device_blocks_are_at_most_twice_as_large(
        start in prop_oneof![any::<u64>(), (u64::MAX - (1 << 20))..=u64::MAX, 0u64..1 << 20],
        length in (0u32..64, any::<u64>()),
        stu_shift in 12u8..=63,
    ) {
        let last = start.saturating_add(length.1 & ((1 << length.0) - 1));
        let asked = range(start, last);
        let FlushRange::Pages(pages) = asked else { unreachable!() };
        let unit = 1u128 << stu_shift;
        let first = u128::from(pages.first().raw()) / unit * unit;
        let end = (u128::from(pages.last_byte().raw()) / unit + 1) * unit;
        let blocks = AtcBlocks::new(&asked, stu_shift);
        let mut at = first;
        let mut total = 0;
        for &block in blocks.as_slice() {
            let (from, to) = decode(block);
            prop_assert!(to - from >= unit, "below the device's unit");
            prop_assert!(from <= at, "a gap");
            at = to;
            total += to - from;
        }
        prop_assert!(at >= end);
        prop_assert!(total <= 2 * (end - first), "{total:#x} for {:#x}", end - first);
        prop_assert!(blocks.as_slice().len() <= 4);
    }
}

/// Source: the arithmetic of Linux 7.1 `arm_smmu_atc_inv_to_cmd`, recomputed where one block is within the bound.
#[test]
fn the_worked_examples() {
    assert_eq!(words(0x1000, 0x4fff, 12), [0x3]);
    assert_eq!(words(0x1000, 0x1fff, 12), [0x1000]);
    // Two pages across a boundary of 64 GiB: two blocks of one page, not one of 64 GiB.
    assert_eq!(
        words(0xf_ffff_f000, 0x10_0000_0fff, 12),
        [0xf_ffff_f000, 0x10_0000_0000]
    );
    // The device's unit is 64 KiB.
    assert_eq!(words(0x1000, 0x1fff, 16), [0x4]);
    let all = AtcBlocks::new(&FlushRange::All, 12);
    assert_eq!(
        all.as_slice()
            .iter()
            .map(|block| block.word())
            .collect::<Vec<_>>(),
        [0x34]
    );
}
