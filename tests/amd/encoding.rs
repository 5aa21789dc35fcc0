//! Golden commands: literals from the manual's layouts, each checked against a second source.

use tlb_shootdown::address::{PhysAddr, VirtAddr};
use tlb_shootdown::iommu::amd::command::{Command, PageResponse};
use tlb_shootdown::iommu::amd::span::Span;
use tlb_shootdown::iommu::amd::{DeviceId, DomainId, Pasid};

const DEVICE: DeviceId = DeviceId(0x0208);
const DOMAIN: DomainId = DomainId(3);

fn pasid(raw: u32) -> Option<Pasid> {
    Pasid::new(raw)
}

/// The doublewords in memory order, as the manual draws them.
fn doublewords(command: Command) -> [u32; 4] {
    let [w0, w1] = command.words();
    [w0 as u32, (w0 >> 32) as u32, w1 as u32, (w1 >> 32) as u32]
}

/// 48882 2.4.3, 2.4.4 (figures 46, 47); Linux `build_inv_iommu_pages`, `build_inv_iotlb_pages`, `build_inv_address`.
#[test]
fn blocks_of_addresses() {
    let golden = [
        (0x1000, 0x4fff, 0x0000_3007, 0x0000_3005, 0),
        (0x1000, 0x1fff, 0x0000_1006, 0x0000_1004, 0),
        (0x2000, 0x3fff, 0x0000_2007, 0x0000_2005, 0),
        (0x7000, 0xafff, 0x0000_7007, 0x0000_7005, 0),
        (
            0x7f00_0020_0000,
            0x7f00_003f_ffff,
            0x002f_f007,
            0x002f_f005,
            0x7f00,
        ),
        // The largest block, 2^51 bytes; beyond it, everything.
        (
            0,
            0x0007_ffff_ffff_ffff,
            0xffff_f007,
            0xffff_f005,
            0x0003_ffff,
        ),
        (
            0,
            0x000f_ffff_ffff_ffff,
            0xffff_f007,
            0xffff_f005,
            0x7fff_ffff,
        ),
        (0, u64::MAX, 0xffff_f007, 0xffff_f005, 0x7fff_ffff),
        (
            0xffff_8000_0000_0000,
            u64::MAX,
            0xffff_f007,
            0xffff_f005,
            0xffff_bfff,
        ),
    ];
    for (first, last, pages, device, high) in golden {
        let span = Span::holding(first, last);
        assert_eq!(
            doublewords(Command::invalidate_pages(DOMAIN, pasid(0x123), span)),
            [0x0000_0123, 0x3000_0003, pages, high],
            "{first:#x}..={last:#x}"
        );
        assert_eq!(
            doublewords(Command::invalidate_device_tlb(
                DEVICE,
                pasid(0x123),
                32,
                span
            )),
            [0x2001_0208, 0x4023_0208, device, high],
            "{first:#x}..={last:#x}"
        );
    }
    assert_eq!(
        doublewords(Command::invalidate_pages(DOMAIN, pasid(0x123), Span::ALL)),
        [0x0000_0123, 0x3000_0003, 0xffff_f007, 0x7fff_ffff]
    );
}

/// 48882 2.4.4 (figure 47): PASID[15:8] in the first doubleword, PASID[7:0] and PASID[19:16] in the second. Linux stops at 16 bits.
#[test]
fn pasids_of_twenty_bits() {
    let span = Span::holding(0x1_2345_6000, 0x1_2345_6fff);
    assert_eq!(
        doublewords(Command::invalidate_device_tlb(
            DeviceId(0x1234),
            pasid(0x5_a5c6),
            16,
            span
        )),
        [0x10a5_1234, 0x45c6_1234, 0x2345_6004, 1]
    );
    assert_eq!(
        doublewords(Command::invalidate_pages(
            DomainId(0xffff),
            pasid(0xf_ffff),
            span
        )),
        [0x000f_ffff, 0x3000_ffff, 0x2345_6006, 1]
    );
}

/// GN = 0: no PASID. Linux `amd_iommu_domain_flush_pages` on host tables.
#[test]
fn domains_without_pasids() {
    let span = Span::holding(0x1000, 0x1fff);
    assert_eq!(
        doublewords(Command::invalidate_pages(DOMAIN, None, span)),
        [0, 0x3000_0003, 0x1002, 0]
    );
    assert_eq!(
        doublewords(Command::invalidate_device_tlb(DEVICE, None, 1, span)),
        [0x0100_0208, 0x4000_0208, 0x1000, 0]
    );
}

/// 48882 2.4.1 (figure 43); VirtualBox `CMD_COMWAIT_T`; Linux `build_completion_wait`.
#[test]
fn waits() {
    let place = PhysAddr::new(0xf_edcb_a987_6548);
    let data = 0x1122_3344_5566_7788;
    let wait = Command::wait_store(place, data).unwrap();
    assert_eq!(
        doublewords(wait),
        [0xa987_6549, 0x100f_edcb, 0x5566_7788, 0x1122_3344]
    );
    let both = wait.with_interrupt().with_flush();
    assert_eq!(doublewords(both)[0], 0xa987_654f);
    assert_eq!(both.with_interrupt().with_flush(), both, "asked for twice");
    assert_eq!(doublewords(Command::wait()), [0, 0x1000_0000, 0, 0]);
    assert_eq!(
        doublewords(Command::wait().with_flush()),
        [4, 0x1000_0000, 0, 0]
    );
    for bad in [0x1004, 1 << 52] {
        assert_eq!(Command::wait_store(PhysAddr::new(bad), 0), None);
    }
    let other = Command::invalidate_all();
    assert_eq!(other.with_flush(), other);
}

/// 48882 2.4.2, 2.4.5 to 2.4.8; VirtualBox `CMD_*_T`; Linux `build_inv_dte`, `build_inv_irt`, `build_complete_ppr`, `build_inv_all`;
/// the reserved bits that QEMU checks for PREFETCH_IOMMU_PAGES.
#[test]
fn the_other_commands() {
    assert_eq!(
        doublewords(Command::invalidate_device(DEVICE)),
        [0x0208, 0x2000_0000, 0, 0]
    );
    assert_eq!(
        doublewords(Command::invalidate_interrupts(DEVICE)),
        [0x0208, 0x5000_0000, 0, 0]
    );
    assert_eq!(
        doublewords(Command::invalidate_all()),
        [0, 0x8000_0000, 0, 0]
    );
    assert_eq!(
        doublewords(Command::prefetch(
            DEVICE,
            pasid(0x5_a5c6),
            7,
            VirtAddr::new(0x7fff_1234_5678)
        )),
        [0x0700_0208, 0x6005_a5c6, 0x1234_5004, 0x7fff]
    );
    assert_eq!(
        doublewords(Command::prefetch(DEVICE, None, 1, VirtAddr::new(0x1000))),
        [0x0100_0208, 0x6000_0000, 0x1000, 0]
    );
    let golden = [
        (PageResponse::Success, 0x0000_01ff),
        (PageResponse::Invalid, 0x0000_11ff),
        (PageResponse::Failure, 0x0000_f1ff),
    ];
    for (response, tag_and_status) in golden {
        let command = Command::complete_ppr(DEVICE, pasid(0x5_a5c6), 0x1ff, response);
        assert_eq!(
            doublewords(command.unwrap()),
            [0x0208, 0x7005_a5c6, 4, tag_and_status]
        );
    }
    assert_eq!(
        Command::complete_ppr(DEVICE, None, 0x200, PageResponse::Success),
        None
    );
}
