//! Ranges under [`RangePolicy::Bounded`]: at most two operations, and at most 3 % more than was asked for.

use crate::common::*;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::Reach::Broadcast;
use tlb_shootdown::arch::aarch64::Config;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::range::RangePolicy;

const BASE: u64 = 0x4000_0000;

const KIB_4: Config = Config::new(Granule::Kib4).range_policy(RangePolicy::Bounded);

fn bounded() -> Machine {
    machine(KIB_4, Identification::FULL)
}

fn bounded_lpa2() -> Machine {
    machine(KIB_4.lpa2(), Identification::FULL)
}

fn user(machine: &Machine, start: u64, count: u64) -> Vec<Executed> {
    let range = pages(start, count << 12, PageSize::KIB_4);
    let leaf = leaf_of(PageSize::KIB_4);
    tlbis(&flush_user(machine, 5, &range, leaf, Broadcast).0)
}

fn kernel(machine: &Machine, start: u64, count: u64) -> Vec<Executed> {
    let range = pages(start, count << 12, PageSize::KIB_4);
    let leaf = leaf_of(PageSize::KIB_4);
    tlbis(&flush_kernel(machine, &range, leaf, Broadcast).0)
}

/// 2115 as 2048 and, overlapping it, 128 that end where the range ends: base 0x40000 + 1987.
#[test]
fn promise_11_bounded_overlaps_two_operations() {
    assert_eq!(
        user(&bounded(), BASE, 2115),
        [
            on("tlbi rvale1is", 0x0005_6060_0004_0000),
            on("tlbi rvale1is", 0x0005_50e0_0004_07c3),
        ]
    );
}

/// 127 as 128: one page more is less than 3 %.
#[test]
fn promise_11_bounded_rounds_up_within_3_percent() {
    assert_eq!(
        user(&bounded(), BASE, 127),
        [on("tlbi rvale1is", 0x0005_50e0_0004_0000)]
    );
    // 31 as 32 would be more than 3 %.
    assert_eq!(user(&bounded(), BASE, 31).len(), 2);
}

/// 3 % of 187 are 5 pages, which makes them 192: SCALE 1, NUM 2. Of 186 they are 5 as well, and 6 are needed: 128 pages, SCALE 1,
/// NUM 1, and 58, SCALE 0, NUM 28, at base 0x40000 + 128.
#[test]
fn promise_11_bounded_reaches_3_percent_and_no_further() {
    assert_eq!(
        user(&bounded(), BASE, 187),
        [on("tlbi rvale1is", 0x0005_5160_0004_0000)]
    );
    assert_eq!(
        user(&bounded(), BASE, 186),
        [
            on("tlbi rvale1is", 0x0005_50e0_0004_0000),
            on("tlbi rvale1is", 0x0005_4e60_0004_0080),
        ]
    );
}

/// 259 pages in the 64 KiB units of LPA2: 256 from 0x4000 on, SCALE 1, NUM 3. The last 3 are 4, SCALE 0, NUM 1, which would begin at page
/// 0x400ff and so begin at 0x40100, unit 0x4010, and end one page late.
#[test]
fn promise_11_bounded_under_lpa2_moves_the_second_operation_up() {
    assert_eq!(
        user(&bounded_lpa2(), BASE, 259),
        [
            on("tlbi rvale1is", 0x0005_51e0_0000_4000),
            on("tlbi rvale1is", 0x0005_40e0_0000_4010),
        ]
    );
}

/// The same at the top of the address space, all but the last page of 17 times 64 KiB: 256 pages from unit 0x1f_ffff_ffef on, and 16 from
/// 0x1f_ffff_ffff on, SCALE 0, NUM 7. They end where the address space does.
#[test]
fn promise_11_bounded_under_lpa2_moves_up_to_the_top_of_the_address_space() {
    assert_eq!(
        kernel(&bounded_lpa2(), 0xffff_ffff_ffef_0000, 271),
        [
            on("tlbi rvaale1is", 0x0000_51ff_ffff_ffef),
            on("tlbi rvaale1is", 0x0000_43ff_ffff_ffff),
        ]
    );
}

/// 127 pages as 128, SCALE 1, NUM 1, where there is one more page, and otherwise as 64, SCALE 1, NUM 0, and, overlapping it, 64 that
/// end with the half: SCALE 0, NUM 31. BaseADDR is VA\[48:12\].
#[test]
fn promise_11_bounded_stays_in_its_half() {
    assert_eq!(
        user(&bounded(), 0x0000_ffff_fff8_0000, 127),
        [on("tlbi rvale1is", 0x0005_50ef_ffff_ff80)]
    );
    assert_eq!(
        user(&bounded(), 0x0000_ffff_fff8_1000, 127),
        [
            on("tlbi rvale1is", 0x0005_506f_ffff_ff81),
            on("tlbi rvale1is", 0x0005_4fef_ffff_ffc0),
        ]
    );
    assert_eq!(
        kernel(&bounded(), 0xffff_ffff_fff8_0000, 127),
        [on("tlbi rvaale1is", 0x0000_50ff_ffff_ff80)]
    );
    assert_eq!(
        kernel(&bounded(), 0xffff_ffff_fff8_1000, 127),
        [
            on("tlbi rvaale1is", 0x0000_507f_ffff_ff81),
            on("tlbi rvaale1is", 0x0000_4fff_ffff_ffc0),
        ]
    );
}
