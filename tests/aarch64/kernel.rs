//! Kernel mappings: every ASID, and an ISB.

use crate::common::*;
use tlb_shootdown::address::{PageSize, RangeError};
use tlb_shootdown::arch::Reach::{Broadcast, Local};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Config, VaBits};
use tlb_shootdown::arch::{Arch, Half};

const BASE: u64 = 0xffff_8000_1234_5000;

/// VA\[55:12\] of the base is 0xff8_0001_2345.
#[test]
fn promise_01_kernel_page_ends_with_an_isb() {
    let range = pages(BASE, 0x1000, PageSize::KIB_4);
    let (executed, _) = flush_kernel(&full(), &range, LEAF, Broadcast);
    assert_eq!(
        executed,
        [
            bare("dsb ishst"),
            on("tlbi vaale1is", 0x0000_0ff8_0001_2345),
            bare("dsb ish"),
            bare("isb")
        ]
    );
    let (executed, _) = flush_kernel(&full(), &range, LEAF, Local);
    assert_eq!(
        executed,
        [
            bare("dsb nshst"),
            on("tlbi vaale1", 0x0000_0ff8_0001_2345),
            bare("dsb nsh"),
            bare("isb")
        ]
    );
}

/// SCALE 0, NUM 15; BaseADDR is VA\[48:12\], 0x18_0001_2345. One operation each under KPTI too.
#[test]
fn promise_08_kernel_forms_follow_depth_and_reach() {
    let range = pages(BASE, 33 << 12, PageSize::KIB_4);
    let cases = [
        (LEAF, Broadcast, "tlbi rvaale1is", "tlbi vaale1is"),
        (TABLES, Broadcast, "tlbi rvaae1is", "tlbi vaae1is"),
        (LEAF, Local, "tlbi rvaale1", "tlbi vaale1"),
        (TABLES, Local, "tlbi rvaae1", "tlbi vaae1"),
    ];
    let kpti = machine(Config::new(Granule::Kib4).kpti(), Identification::FULL);
    for (entries, reach, by_range, by_address) in cases {
        let (executed, _) = flush_kernel(&kpti, &range, entries, reach);
        assert_eq!(
            tlbis(&executed),
            [
                on(by_range, 0x0000_4798_0001_2345),
                on(by_address, 0x0000_0ff8_0001_2365)
            ]
        );
    }
}

#[test]
fn promise_11_too_long_a_kernel_range_is_everything() {
    let range = pages(BASE, 512 << 12, PageSize::KIB_4);
    let (executed, cost) = flush_kernel(&plain(), &range, LEAF, Broadcast);
    assert_eq!(tlbis(&executed), [bare("tlbi vmalle1is")]);
    assert_eq!(cost.escalations, 1);
}

/// The last two pages: BaseADDR is 0x1f_ffff_fffe; and 16 pages in the 64 KiB units of LPA2, base 0x1f_ffff_ffff.
#[test]
fn promise_11_range_ends_at_the_top_of_the_address_space() {
    let two = pages(0xffff_ffff_ffff_e000, 0x2000, PageSize::KIB_4);
    let (executed, _) = flush_kernel(&full(), &two, LEAF, Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi rvaale1is", 0x0000_401f_ffff_fffe)]
    );
    let (executed, _) = flush_kernel(&plain(), &two, LEAF, Broadcast);
    assert_eq!(
        tlbis(&executed),
        [
            on("tlbi vaale1is", 0x0000_0fff_ffff_fffe),
            on("tlbi vaale1is", 0x0000_0fff_ffff_ffff)
        ]
    );
    let lpa2 = machine(Config::new(Granule::Kib4).lpa2(), Identification::FULL);
    let sixteen = pages(0xffff_ffff_ffff_0000, 0x1_0000, PageSize::KIB_4);
    let (executed, _) = flush_kernel(&lpa2, &sixteen, LEAF, Broadcast);
    assert_eq!(
        tlbis(&executed),
        [on("tlbi rvaale1is", 0x0000_439f_ffff_ffff)]
    );
}

#[test]
fn addresses_belong_to_one_half() {
    let narrow = full();
    let wide = machine(
        Config::new(Granule::Kib64).va_bits(VaBits::Bits52),
        Identification::FULL,
    );
    let page = |start| pages(start, 0x1000, PageSize::KIB_4);
    let cases = [
        (Half::User, 0, true, true),
        (Half::User, 0x0000_ffff_ffff_f000, true, true),
        (Half::User, 0x0001_0000_0000_0000, false, true),
        (Half::User, 0x0010_0000_0000_0000, false, false),
        (Half::User, 0xffff_8000_0000_0000, false, false),
        (Half::Kernel, 0xffff_0000_0000_0000, true, true),
        (Half::Kernel, 0xfff0_0000_0000_0000, false, true),
        (Half::Kernel, 0xffff_ffff_ffff_f000, true, true),
        (Half::Kernel, 0x0000_ffff_ffff_f000, false, false),
        // The top byte is not ignored.
        (Half::User, 0x0500_0000_0000_0000, false, false),
    ];
    let verdict = |fits| {
        if fits {
            Ok(())
        } else {
            Err(RangeError::NonCanonical)
        }
    };
    for (half, start, fits_48, fits_52) in cases {
        assert_eq!(narrow.check_range(half, &page(start)), verdict(fits_48));
        assert_eq!(wide.check_range(half, &page(start)), verdict(fits_52));
    }
}

#[test]
fn a_range_across_the_hole_is_refused() {
    let across = pages(0x0000_ffff_ffff_f000, 0x2000, PageSize::KIB_4);
    let all = tlb_shootdown::address::PageRange::inclusive(
        tlb_shootdown::address::VirtAddr::new(0),
        tlb_shootdown::address::VirtAddr::new(u64::MAX),
        PageSize::KIB_4,
    )
    .expect("a range");
    for range in [across, all] {
        for half in [Half::User, Half::Kernel] {
            assert_eq!(
                full().check_range(half, &range),
                Err(RangeError::NonCanonical)
            );
        }
    }
}
