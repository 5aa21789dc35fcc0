//! Operands of the invalidating instructions.
//!
//! Expected values are literals with two sources. INVLPGB: the AMD APM's fields (RAX\[5:0\] flags, RAX\[63:12\] address, ECX\[15:0\] count,
//! ECX\[31\] stride, EDX\[15:0\] ASID, EDX\[27:16\] PCID), as Linux's `asm/tlb.h` has them (`INVLPGB_FLAG_*`, `stride << 31 | nr - 1`,
//! `pcid << 16 | asid`) and Xen's `asm/invlpgb.h` (type bits 3:0 in which `ASID_NON_GLOBAL` is 4, `ADDR_GLOBAL` 9, `ASID_GLOBAL` 12; final and nested
//! follow). INVPCID: Intel SDM Vol 2A figure 3-24, and the pseudocode of Intel's intrinsics guide, `_invpcid`. CR3: Intel SDM Vol 3A table 4-12
//! and 2.5, and Linux's `asm/processor-flags.h` (`X86_CR3_PCID_NOFLUSH_BIT` 63, `X86_CR3_LAM_U57_BIT` 61, `X86_CR3_LAM_U48_BIT` 62).

use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::arch::HardwareId;
use tlb_shootdown::arch::x86_64::operand::cr3::Cr3;
use tlb_shootdown::arch::x86_64::operand::invlpgb::Invlpgb;
use tlb_shootdown::arch::x86_64::operand::invpcid::Invpcid;
use tlb_shootdown::arch::x86_64::operand::{MaxCount, Pcid, Run, split};
use tlb_shootdown::flush::Depth;

fn pcid(number: u16) -> Pcid {
    Pcid::new(number).expect("12 bits")
}

fn range(start: u64, bytes: u64, stride: PageSize) -> PageRange {
    PageRange::from_len(VirtAddr::new(start), bytes, stride).expect("a range")
}

/// CPUID 8000_0008h EDX\[15:0\] = 7: eight addresses.
const EIGHT: MaxCount = MaxCount::from_cpuid(7);

fn runs(pages: &PageRange, max: MaxCount) -> Vec<Run> {
    split(pages, max).collect()
}

/// RAX, ECX, EDX.
fn registers(on: Invlpgb) -> (u64, u32, u32) {
    (on.rax(), on.ecx(), on.edx())
}

fn user(pages: &PageRange, max: MaxCount, depth: Depth) -> Vec<(u64, u32, u32)> {
    runs(pages, max)
        .into_iter()
        .map(|run| registers(Invlpgb::user_pages(pcid(0x123), run, depth)))
        .collect()
}

#[test]
fn invpcid_descriptors() {
    let operands = |on: Invpcid| (on.kind() as u64, on.descriptor());
    let address = VirtAddr::new(0x7fff_dead_b000);
    assert_eq!(
        operands(Invpcid::address(pcid(0xabc), address)),
        (0, [0x0abc, 0x7fff_dead_b000])
    );
    assert_eq!(operands(Invpcid::space(pcid(0xfff))), (1, [0x0fff, 0]));
    assert_eq!(operands(Invpcid::all()), (2, [0, 0]));
    assert_eq!(operands(Invpcid::all_but_global()), (3, [0, 0]));
}

#[test]
fn a_pcid_has_12_bits() {
    assert_eq!(Pcid::new(0x1000), None);
    assert_eq!(Pcid::of(HardwareId(0x8000_0000_0000_1fff)).number(), 0xfff);
    assert_eq!(HardwareId::from(pcid(0x123)), HardwareId(0x123));
    assert_eq!(pcid(5).user().number(), 0x805);
    assert_eq!(pcid(5).user().user().number(), 0x805);
}

#[test]
fn cr3_fields_do_not_run_into_each_other() {
    let root = PhysAddr::new(0x000f_ffff_ffff_f000);
    let cr3 = Cr3::new(root).with_pcid(pcid(0xfff));
    assert_eq!(cr3.raw(), 0x000f_ffff_ffff_ffff);
    assert_eq!(cr3.keeping().raw(), 0x800f_ffff_ffff_ffff);
    assert_eq!(cr3.keeping().dropping(), cr3);
    assert_eq!(cr3.lam_u57().raw(), 0x200f_ffff_ffff_ffff);
    assert_eq!(cr3.lam_u48().raw(), 0x400f_ffff_ffff_ffff);
    // Said twice it is so.
    assert_eq!(cr3.keeping().keeping(), cr3.keeping());
    assert_eq!(cr3.lam_u57().lam_u57(), cr3.lam_u57());
    assert_eq!(cr3.lam_u48().lam_u48(), cr3.lam_u48());
    assert_eq!(Cr3::new(root).pcid(), pcid(0));
    assert_eq!((cr3.root(), cr3.pcid()), (root, pcid(0xfff)));
    // Bits of a physical address that no table can have do not reach the register.
    assert_eq!(
        Cr3::new(PhysAddr::new(u64::MAX)).raw(),
        0x000f_ffff_ffff_f000
    );
}

#[test]
fn cr3_keeps_masking_across_roots_and_identifiers() {
    let cr3 = Cr3::from_raw(0x6000_0000_1234_5007);
    let next = cr3
        .with_root(PhysAddr::new(0x9_8765_4000))
        .with_pcid(pcid(9).user());
    assert_eq!(next.raw(), 0x6000_0009_8765_4809);
    assert_eq!(next.keeping().raw(), 0xe000_0009_8765_4809);
    assert_eq!(cr3.with_pcid(pcid(0)).raw(), 0x6000_0000_1234_5000);
}

/// 4 = ASID valid, 2 = PCID valid, 8 = include global.
#[test]
fn invlpgb_without_an_address() {
    assert_eq!(registers(Invlpgb::all()), (0xc, 0, 0));
    assert_eq!(registers(Invlpgb::all_but_global()), (0x4, 0, 0));
    assert_eq!(
        registers(Invlpgb::space(pcid(0xfff))),
        (0x6, 0, 0x0fff_0000)
    );
}

/// 7 = ASID, PCID and VA valid; 10h = final translations alone.
#[test]
fn invlpgb_of_one_user_page() {
    let page = range(0x7fff_dead_b000, 1, PageSize::KIB_4);
    assert_eq!(
        user(&page, EIGHT, Depth::Tables),
        [(0x7fff_dead_b007, 0, 0x0123_0000)]
    );
    assert_eq!(
        user(&page, EIGHT, Depth::Leaf),
        [(0x7fff_dead_b017, 0, 0x0123_0000)]
    );
}

/// Dh = ASID and VA valid, globals included; no PCID, so that it is under all of them.
#[test]
fn invlpgb_of_kernel_pages() {
    let pages = range(0xffff_8880_0000_0000, 3 << 12, PageSize::KIB_4);
    let on = |depth| {
        let all = runs(&pages, EIGHT).into_iter();
        all.map(|run| registers(Invlpgb::kernel_pages(run, depth)))
            .collect::<Vec<_>>()
    };
    assert_eq!(on(Depth::Tables), [(0xffff_8880_0000_000d, 2, 0)]);
    assert_eq!(on(Depth::Leaf), [(0xffff_8880_0000_001d, 2, 0)]);
}

/// The count is one less than the number of pages: 8 are 7, and the ninth page is an instruction of its own.
#[test]
fn promise_11_invlpgb_counts_one_less() {
    let nine = range(0x40_0000, 9 << 12, PageSize::KIB_4);
    assert_eq!(
        user(&nine, EIGHT, Depth::Leaf),
        [(0x40_0017, 7, 0x0123_0000), (0x40_8017, 0, 0x0123_0000)]
    );
    let eight = range(0x40_0000, 8 << 12, PageSize::KIB_4);
    assert_eq!(
        user(&eight, EIGHT, Depth::Leaf),
        [(0x40_0017, 7, 0x0123_0000)]
    );
    assert_eq!(user(&eight, MaxCount::ONE, Depth::Leaf).len(), 8);
}

/// Bit 31 of ECX: 2 MiB apart. Five large pages are two runs of at most four.
#[test]
fn promise_11_invlpgb_of_large_pages() {
    let five = range(0x4000_0000, 5 << 21, PageSize::MIB_2);
    assert_eq!(
        user(&five, MaxCount::from_cpuid(3), Depth::Leaf),
        [
            (0x4000_0017, 0x8000_0003, 0x0123_0000),
            (0x4080_0017, 0x8000_0000, 0x0123_0000),
        ]
    );
}

/// One address drops all that a CPU made of a page of 1 GiB, and there is no stride for two.
#[test]
fn promise_11_invlpgb_of_huge_pages() {
    let two = range(0x40_0000_0000, 2 << 30, PageSize::GIB_1);
    assert_eq!(
        user(&two, EIGHT, Depth::Leaf),
        [
            (0x40_0000_0017, 0, 0x0123_0000),
            (0x40_4000_0017, 0, 0x0123_0000)
        ]
    );
}

/// Strides that no leaf entry has: the next smaller one that there is.
#[test]
fn invlpgb_of_other_strides() {
    let two = range(0x1_0000, 2 << 16, PageSize::KIB_64);
    assert_eq!(
        user(&two, MaxCount::from_cpuid(0xffff), Depth::Leaf),
        [(0x1_0017, 31, 0x0123_0000)]
    );
    let group = range(0x200_0000, 1, PageSize::MIB_32);
    assert_eq!(user(&group, EIGHT, Depth::Leaf).len(), 2);
    assert_eq!(
        user(&group, EIGHT, Depth::Leaf)[1],
        (0x300_0017, 0x8000_0007, 0x0123_0000)
    );
}

/// The last pages of the address space, and a count that fills its 16 bits.
#[test]
fn invlpgb_at_the_edges() {
    let top = range(0xffff_ffff_ffff_e000, 2 << 12, PageSize::KIB_4);
    let all: Vec<_> = runs(&top, MaxCount::ONE)
        .into_iter()
        .map(|run| registers(Invlpgb::kernel_pages(run, Depth::Leaf)).0)
        .collect();
    assert_eq!(all, [0xffff_ffff_ffff_e01d, 0xffff_ffff_ffff_f01d]);
    let most = MaxCount::from_cpuid(0xabcd_ffff);
    assert_eq!(most.get(), 65536);
    let many = range(0, 65537 << 12, PageSize::KIB_4);
    let counts: Vec<_> = user(&many, most, Depth::Leaf)
        .iter()
        .map(|on| on.1)
        .collect();
    assert_eq!(counts, [0xffff, 0]);
}

mod coverage {
    use super::*;
    use crate::property::properties;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The pages that an emulator would drop: decoded from the registers, with no help from what encoded them.
    fn dropped(registers: (u64, u32, u32)) -> Vec<u64> {
        let (rax, ecx, _) = registers;
        let step = if ecx & 0x8000_0000 == 0 {
            0x1000
        } else {
            0x20_0000
        };
        let count = u64::from(ecx & 0xffff) + 1;
        (0..count)
            .map(|n| (rax & 0xffff_ffff_ffff_f000).wrapping_add(n * step))
            .collect()
    }

    properties! {
        /// Each leaf entry of the range is dropped once and no other is.
        #[test]
        fn promise_11_invlpgb_is_exact(
            first in 0u64..1 << 20,
            count in 1u64..2000,
            max in 0u32..600,
            shift in prop::sample::select(vec![12u8, 21, 30]),
        ) {
            let size = PageSize::from_shift(shift).expect("a size");
            let pages = range(first << shift, count << shift, size);
            let max = MaxCount::from_cpuid(max);
            let expected = split(&pages, max).instructions();
            let all = user(&pages, max, Depth::Leaf);
            prop_assert_eq!(all.len() as u64, expected);
            let hit: Vec<u64> = all.into_iter().flat_map(dropped).collect();
            let asked: BTreeSet<u64> = (first..first + count).map(|n| n << shift).collect();
            prop_assert_eq!(hit.len() as u64, count);
            prop_assert_eq!(hit.into_iter().collect::<BTreeSet<_>>(), asked);
        }
    }
}
