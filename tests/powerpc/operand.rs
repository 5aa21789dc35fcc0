//! RB and RS as literals.
//!
//! Two sources: the ISA's figures of RB and RS as Linux' `radix_tlb.c` fills them (shift 63 - n of the manual's bit n), and QEMU's
//! `helper_tlbie_isa300`, which takes them apart (IS 52:53, AP 56:58, EPN 0:51).

use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::arch::HardwareId;
use tlb_shootdown::arch::powerpc::operand::{
    Page, UNUSED, all, by_address, by_lpid, by_pid, of_partition, of_process,
};

#[test]
fn by_address_names_the_page_and_its_size() {
    let cases = [
        (0x0000_1234_5678_9abc, Page::Kib4, 0x0000_1234_5678_9000),
        (0x0000_1234_5678_0000, Page::Kib64, 0x0000_1234_5678_00a0),
        (0x0000_1234_5660_0000, Page::Mib2, 0x0000_1234_5660_0020),
        (0x0000_1234_4000_0000, Page::Gib1, 0x0000_1234_4000_0040),
        (0xc00f_ffff_ffff_f000, Page::Kib4, 0xc00f_ffff_ffff_f000),
    ];
    for (addr, size, rb) in cases {
        assert_eq!(by_address(VirtAddr::new(addr), size), rb, "{addr:#x}");
    }
    assert_eq!(by_address(UNUSED, Page::Kib64), 0x000f_ffff_ffff_f0a0);
}

#[test]
fn selectors_and_sets_stand_below_the_page_number() {
    assert_eq!(by_pid(0), 0x400);
    assert_eq!(by_pid(127), 0x7_f400);
    assert_eq!(by_lpid(0), 0x800);
    assert_eq!(by_lpid(1), 0x1800);
    assert_eq!(all(0), 0xc00);
    assert_eq!(all(127), 0x7_fc00);
}

/// What the engine's coding of an identifier has above the PID stays out.
#[test]
fn promise_07_rs_is_the_pid_alone() {
    assert_eq!(of_process(HardwareId(0x42)), 0x0000_0042_0000_0000);
    assert_eq!(of_process(HardwareId(0xf_ffff)), 0x000f_ffff_0000_0000);
    assert_eq!(
        of_process(HardwareId(3 << 32 | 0x42)),
        0x0000_0042_0000_0000
    );
    assert_eq!(of_partition(7), 7);
}

#[test]
fn sizes_are_those_of_radix_tables() {
    for page in Page::ALL {
        assert_eq!(Page::of(page.size()), Some(page));
    }
    for size in [PageSize::KIB_16, PageSize::MIB_32, PageSize::MIB_512] {
        assert_eq!(Page::of(size), None);
    }
}
