//! Every word, by literals.
//!
//! LNCH: Linux `arch/powerpc/include/asm/pnv-ocxl.h`, as `pnv_ocxl_tlb_invalidate` fills it, for PID 0x42; its fields stand where
//! `get_atsd_launch_val` of the NVLink driver (`powernv/npu-dma.c`) has them: IS at bit 12, PRS 13, AP 15:17, PID 19:38.
//! Process elements: Linux `drivers/misc/ocxl/ocxl_internal.h` and `link.c`, and `struct cxl_process_element` of CAPI
//! (`drivers/misc/cxl/cxl.h`), which has the same fields at the same offsets and no PASID.

use crate::fake::{context, process};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::iommu::ocxl::command::{Launch, LeafSize};
use tlb_shootdown::iommu::ocxl::process_element::{ConfigState, ProcessElement};
use tlb_shootdown::iommu::ocxl::{Context, FunctionId, Pasid, Pid, Process};

fn page(pid: u32, address: u64, size: LeafSize) -> (Option<u64>, u64) {
    let pid = Pid::new(pid).unwrap();
    let launch = Launch::page(pid, VirtAddr::new(address), size);
    (launch.address(), launch.word())
}

#[test]
fn launches_by_page() {
    let of = |address, size| page(0x42, address, size);
    assert_eq!(
        of(0x1000, LeafSize::Kib4),
        (Some(0x1000), 0xc004_0000_8400_0000)
    );
    assert_eq!(
        of(0x1_0000, LeafSize::Kib64),
        (Some(0x1_0000), 0xc005_4000_8400_0000)
    );
    assert_eq!(
        of(0x7fff_0020_0000, LeafSize::Mib2),
        (Some(0x7fff_0020_0000), 0xc004_4000_8400_0000)
    );
    assert_eq!(
        of(0x7fff_4000_0000, LeafSize::Gib1),
        (Some(0x7fff_4000_0000), 0xc004_8000_8400_0000)
    );
    // AVA has no offset.
    assert_eq!(of(0x1fff, LeafSize::Kib4).0, Some(0x1000));
    assert_eq!(of(u64::MAX, LeafSize::Kib4).0, Some(0xffff_ffff_ffff_f000));
}

/// From bit 19 to bit 38.
#[test]
fn launches_by_pid() {
    assert_eq!(page(1, 0, LeafSize::Kib4).1, 0xc004_0000_0200_0000);
    assert_eq!(page(0xf_ffff, 0, LeafSize::Kib4).1, 0xc004_1fff_fe00_0000);
    let whole = |pid| Launch::process(Pid::new(pid).unwrap());
    assert_eq!(whole(0x42).address(), None);
    assert_eq!(whole(0x42).word(), 0xc00c_0000_8440_0000);
    assert_eq!(whole(0xf_ffff).word(), 0xc00c_1fff_fe40_0000);
}

#[test]
fn radix_leaves_have_four_sizes() {
    let sizes = (12..=56).filter_map(PageSize::from_shift);
    let leaves: Vec<_> = sizes.filter_map(LeafSize::new).collect();
    let expected = [
        LeafSize::Kib4,
        LeafSize::Kib64,
        LeafSize::Mib2,
        LeafSize::Gib1,
    ];
    assert_eq!(leaves, expected);
    for leaf in expected {
        assert_eq!(LeafSize::new(leaf.page_size()), Some(leaf));
    }
}

#[test]
fn numbers_have_bounds() {
    assert_eq!(Pid::new(0), None);
    assert_eq!(Pid::new(1 << 20), None);
    assert_eq!(Pasid::new(1 << 15), None);
    assert_eq!(Pasid::new(0x7fff).map(Pasid::raw), Some(0x7fff));
}

/// SF, HV, XLAT = 3, PR and DR; without SF for 32 bits; with TC.
#[test]
fn the_state_of_a_process() {
    let state = |process| ConfigState::of(&process).bits();
    let wide = process(0x42);
    assert_eq!(state(wide), 0x9600_0000_0000_4010);
    assert_eq!(
        state(Process {
            wide: false,
            ..wide
        }),
        0x1600_0000_0000_4010
    );
    let checked = Process {
        tag_checks: true,
        ..wide
    };
    assert_eq!(state(checked), 0x9600_0000_0000_4210);
}

/// Offsets 8 (PASID << 12), 12 (function), 52 (LPID), 56 (thread), 60 (PID), 104 (AMR).
#[test]
fn process_elements() {
    let context = Context {
        pasid: Pasid::new(0x7123).unwrap(),
        function: FunctionId(0x0108),
        thread: 0x1234_5678,
        amr: 0xfedc_ba98_7654_3210,
    };
    let process = Process {
        lpid: 0x9abc_def0,
        ..process(0xa_bcde)
    };
    let mut expected = [0; 16];
    expected[0] = 0x9600_0000_0000_4010;
    expected[1] = 0x0712_3000_0108_0000;
    expected[6] = 0x0000_0000_9abc_def0;
    expected[7] = 0x1234_5678_000a_bcde;
    expected[13] = 0xfedc_ba98_7654_3210;
    assert_eq!(ProcessElement::new(&process, &context).words(), &expected);
}

/// In memory every field is big-endian: byte for byte what `cpu_to_be64` and `cpu_to_be32` store.
#[test]
fn process_elements_are_big_endian_in_memory() {
    let bench = crate::fake::Bench::usual();
    let of_five = context(5);
    let key = bench.link.reserve(&[of_five], &process(0x42)).unwrap();
    bench.link.install(key).unwrap();
    let at = bench.link.spa().raw() + 5 * 128;
    // SAFETY: the element is within the area that the bench gave.
    let bytes: [u8; 128] = unsafe { (at as *const [u8; 128]).read_volatile() };
    assert_eq!(bytes[..8], [0x96, 0, 0, 0, 0, 0, 0x40, 0x10]);
    assert_eq!(bytes[8..16], [0, 0, 0x50, 0, 0, 8, 0, 0]);
    assert_eq!(bytes[60..64], [0, 0, 0, 0x42]);
    assert_eq!(bytes[124..], [0x80, 0, 0, 0]);
}
