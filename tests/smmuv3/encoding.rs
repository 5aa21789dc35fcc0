//! Golden commands: literals from the manual's layouts, each checked against a second source.

use tlb_shootdown::address::{PhysAddr, VirtAddr};
use tlb_shootdown::flush::Depth;
use tlb_shootdown::iommu::smmuv3::command::{Command, PageResponse, StallAction};
use tlb_shootdown::iommu::smmuv3::span::{Level, RangeFields, Span};
use tlb_shootdown::iommu::smmuv3::{Asid, Granule, StreamId, SubstreamId, Vmid};

const SID: StreamId = StreamId(0x1234_5678);
const VMID: Vmid = Vmid(0xabcd);
const ASID: Asid = Asid(0x5a5b);

fn ssid(raw: u32) -> Option<SubstreamId> {
    SubstreamId::new(raw)
}

fn va(raw: u64) -> VirtAddr {
    VirtAddr::new(raw)
}

/// IHI 0070 4.2, 4.3; Linux CMDQ_PREFETCH_*, CMDQ_CFGI_*; QEMU CMD_SID, CMD_STE_RANGE.
#[test]
fn configuration_commands() {
    let golden = [
        (
            Command::prefetch_config(SID, None),
            [0x1234_5678_0000_0001, 0],
        ),
        (
            Command::prefetch_config(SID, ssid(0xf_ffff)),
            [0x1234_5678_ffff_f801, 0],
        ),
        (
            Command::prefetch_addr(SID, ssid(1), va(0xffff_1234_5678)),
            [0x1234_5678_0000_1802, 0xffff_1234_5000],
        ),
        (Command::cfgi_ste(SID, true), [0x1234_5678_0000_0003, 1]),
        (Command::cfgi_ste(SID, false), [0x1234_5678_0000_0003, 0]),
        (
            Command::cfgi_ste_range(StreamId(0x40), 6).unwrap(),
            [0x40_0000_0004, 5],
        ),
        (
            Command::cfgi_ste_range(StreamId(0x8000_0000), 31).unwrap(),
            [0x8000_0000_0000_0004, 30],
        ),
        (Command::cfgi_all(), [0x4, 31]),
        (
            Command::cfgi_cd(SID, ssid(3), true),
            [0x1234_5678_0000_3005, 1],
        ),
        (
            Command::cfgi_cd(SID, None, false),
            [0x1234_5678_0000_0005, 0],
        ),
        (Command::cfgi_cd_all(SID), [0x1234_5678_0000_0006, 0]),
        (Command::cfgi_vms_pidm(VMID), [0xabcd_0000_0007, 0]),
    ];
    for (command, words) in golden {
        assert_eq!(command.words(), words, "{command:x?}");
    }
}

/// IHI 0070 4.4; Linux CMDQ_TLBI_*; QEMU SMMU_CMD_TLBI_*.
#[test]
fn tlb_commands() {
    let span = Span::single(va(0x7fff_1234_5678), Depth::Leaf);
    let golden = [
        (Command::tlbi_nh_all(VMID), [0xabcd_0000_0010, 0]),
        (
            Command::tlbi_nh_asid(VMID, ASID),
            [0x5a5b_abcd_0000_0011, 0],
        ),
        (
            Command::tlbi_nh_va(VMID, ASID, span),
            [0x5a5b_abcd_0000_0012, 0x7fff_1234_5001],
        ),
        (
            Command::tlbi_nh_vaa(VMID, span),
            [0xabcd_0000_0013, 0x7fff_1234_5001],
        ),
        (Command::tlbi_el2_all(), [0x20, 0]),
        (Command::tlbi_el2_asid(ASID), [0x5a5b_0000_0000_0021, 0]),
        (
            Command::tlbi_el2_va(ASID, span),
            [0x5a5b_0000_0000_0022, 0x7fff_1234_5001],
        ),
        (Command::tlbi_el2_vaa(span), [0x23, 0x7fff_1234_5001]),
        (Command::tlbi_s12_vmall(VMID), [0xabcd_0000_0028, 0]),
        (
            Command::tlbi_s2_ipa(VMID, span).unwrap(),
            [0xabcd_0000_002a, 0x7fff_1234_5001],
        ),
        (Command::tlbi_nsnh_all(), [0x30, 0]),
    ];
    for (command, words) in golden {
        assert_eq!(command.words(), words, "{command:x?}");
    }
}

/// IHI 0070 4.5, 4.7; Linux CMDQ_PRI_*, CMDQ_RESUME_*, CMDQ_SYNC_*; QEMU CMD_SYNC_*.
#[test]
fn other_commands() {
    let golden = [
        (
            Command::pri_resp(SID, ssid(9), 0x1ff, PageResponse::Success).unwrap(),
            [0x1234_5678_0000_9841, 0x21ff],
        ),
        (
            Command::pri_resp(SID, None, 0, PageResponse::Failure).unwrap(),
            [0x1234_5678_0000_0041, 0],
        ),
        (
            Command::pri_resp(SID, None, 1, PageResponse::Invalid).unwrap(),
            [0x1234_5678_0000_0041, 0x1001],
        ),
        (
            Command::resume(SID, 0xbeef, StallAction::Retry),
            [0x1234_5678_0000_1044, 0xbeef],
        ),
        (
            Command::resume(SID, 0xbeef, StallAction::Terminate),
            [0x1234_5678_0000_0044, 0xbeef],
        ),
        (
            Command::resume(SID, 0xbeef, StallAction::Abort),
            [0x1234_5678_0000_2044, 0xbeef],
        ),
        (Command::stall_term(SID), [0x1234_5678_0000_0045, 0]),
        // IHI 0070 4.1.1; opcode 0x70 without operands in emulators that refuse it for IDR3.DPT = 0.
        (Command::dpti_all(), [0x70, 0]),
        (Command::sync(), [0x46, 0]),
        (Command::sync_sev(), [0x2046, 0]),
        (
            // CS = 1, MSH = inner shareable, MSIAttr = 0xf: Linux arm_smmu_cmdq_build_sync_cmd gives the same.
            Command::sync_msi(PhysAddr::new(0x12_3456_7890), 0xdead_beef).unwrap(),
            [0xdead_beef_0fc0_1046, 0x12_3456_7890],
        ),
    ];
    for (command, words) in golden {
        assert_eq!(command.words(), words, "{command:x?}");
    }
}

/// The examples of Linux 7.1 `arm_smmu_cmdq_batch_add_range`, recomputed; IHI 0070 4.4.1.1.
#[test]
fn ranged_commands() {
    let granules = |addr, count, scale, level, depth| {
        Span::granules(
            va(addr),
            Granule::Kib4,
            count,
            scale,
            level,
            depth,
            RangeFields::Narrow,
        )
        .map(|span| Command::tlbi_nh_va(Vmid(0), Asid(5), span).words())
    };
    let tables = Depth::Tables;
    let golden = [
        (
            granules(0x1000, 1, 2, None, tables),
            [0x0005_0000_0020_0012, 0x1400],
        ),
        (
            granules(0x1000, 1, 1, None, tables),
            [0x0005_0000_0010_0012, 0x1400],
        ),
        (
            granules(0x1_0000, 5, 0, None, tables),
            [0x0005_0000_0000_4012, 0x1_0400],
        ),
        (
            granules(0x1_0000, 17, 1, None, tables),
            [0x0005_0000_0011_0012, 0x1_0400],
        ),
        (
            granules(0x7f00_0020_0000, 1, 9, None, tables),
            [0x0005_0000_0090_0012, 0x7f00_0020_0400],
        ),
        (
            granules(0x4000_0000, 1, 9, Some(Level::Two), Depth::Leaf),
            [0x0005_0000_0090_0012, 0x4000_0601],
        ),
    ];
    for (words, expected) in golden {
        assert_eq!(words, Some(expected));
    }
}

/// IHI 0070 4.4.1.1: what is reserved or unpredictable cannot be built.
#[test]
fn reserved_combinations_cannot_be_built() {
    let build = |addr, granule, count, scale, level, fields| {
        Span::granules(va(addr), granule, count, scale, level, Depth::Leaf, fields)
    };
    use Granule::{Kib4, Kib16, Kib64};
    use RangeFields::{Narrow, Wide};
    assert_eq!(build(0x1000, Kib4, 1, 0, None, Narrow), None);
    assert!(build(0x1000, Kib4, 1, 0, Some(Level::Three), Narrow).is_some());
    assert_eq!(build(0x1000, Kib4, 0, 0, None, Narrow), None);
    assert_eq!(build(0x1000, Kib4, 33, 0, None, Narrow), None);
    assert_eq!(build(0, Kib4, 2, 32, None, Narrow), None);
    assert!(build(0, Kib4, 2, 39, None, Wide).is_some());
    assert_eq!(build(0, Kib4, 2, 40, None, Wide), None);
    // Alignment to the level: 2 MiB, 32 MiB, 512 MiB and 1 GiB.
    assert_eq!(build(0x1000, Kib4, 2, 9, Some(Level::Two), Narrow), None);
    assert_eq!(build(1 << 24, Kib16, 2, 11, Some(Level::Two), Narrow), None);
    assert_eq!(build(1 << 28, Kib64, 2, 13, Some(Level::Two), Narrow), None);
    assert_eq!(build(1 << 29, Kib4, 2, 18, Some(Level::One), Narrow), None);
    assert!(build(1 << 30, Kib4, 2, 18, Some(Level::One), Narrow).is_some());
    // 16 KiB granules have level 1 blocks with DS alone.
    assert_eq!(build(1 << 36, Kib16, 2, 22, Some(Level::One), Narrow), None);
    assert!(build(1 << 36, Kib16, 2, 22, Some(Level::One), Wide).is_some());
    // Granule alignment, and the end of the addresses.
    assert_eq!(build(0x1000, Kib16, 2, 0, None, Narrow), None);
    assert_eq!(build(0xffff_ffff_ffff_f000, Kib4, 2, 0, None, Narrow), None);
    // Others.
    assert_eq!(Command::cfgi_ste_range(StreamId(1), 1), None);
    assert_eq!(Command::cfgi_ste_range(StreamId(0), 0), None);
    assert_eq!(Command::cfgi_ste_range(StreamId(0), 32), None);
    assert_eq!(
        Command::pri_resp(SID, None, 0x200, PageResponse::Success),
        None
    );
    assert_eq!(Command::sync_msi(PhysAddr::new(0), 1), None);
    assert_eq!(Command::sync_msi(PhysAddr::new(0x1002), 1), None);
    assert_eq!(Command::sync_msi(PhysAddr::new(1 << 56), 1), None);
    assert_eq!(SubstreamId::new(1 << 20), None);
    let high = Span::single(va(1 << 56), Depth::Leaf);
    assert_eq!(Command::tlbi_s2_ipa(VMID, high), None);
}
