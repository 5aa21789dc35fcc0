//! Every descriptor, word by word. The literals come from the field positions of the VT-d specification 6.5.2, as Linux
//! `drivers/iommu/intel/iommu.h` (`QI_*`) and QEMU `intel_iommu_internal.h` (`VTD_INV_DESC_*`) have them; the page-selective
//! ones repeat what Linux emits for DID 1, PASID 0x123, source 0x0208 and a queue depth of 4.

use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::flush::Depth;
use tlb_shootdown::iommu::vtd::command::{Command, DeviceTarget, Drain, PageResponse, WaitOptions};
use tlb_shootdown::iommu::vtd::span::Block;
use tlb_shootdown::iommu::vtd::{DomainId, Pasid, SourceId};

const DID: DomainId = DomainId(1);
const SID: SourceId = SourceId(0x0208);
/// The largest mask that the field could hold: bounds nothing.
const ANY: u8 = 52;

fn pasid() -> Pasid {
    Pasid::new(0x123).unwrap()
}

fn target() -> DeviceTarget {
    DeviceTarget {
        device: SID,
        physical_function: SID,
        queue_depth: 4,
    }
}

/// The first two words; the others are zero in every descriptor.
#[track_caller]
fn words(command: Command) -> (u64, u64) {
    let [first, second, third, fourth] = command.words();
    assert_eq!((third, fourth), (0, 0));
    assert_eq!(Command::from_words(command.words()), command);
    (first, second)
}

fn pages(first: u64, last: u64) -> (u64, u64) {
    let block = Block::holding(first, last);
    words(Command::pasid_iotlb_pages(DID, pasid(), block, Depth::Tables, ANY).unwrap())
}

fn device(first: u64, last: u64) -> (u64, u64) {
    let block = Block::holding(first, last);
    words(Command::pasid_device_tlb(target(), pasid(), block))
}

#[test]
fn pasid_iotlb_by_page() {
    const W0: u64 = 0x0000_0123_0001_0036;
    assert_eq!(pages(0x1000, 0x4fff), (W0, 0x3));
    assert_eq!(pages(0x1000, 0x1fff), (W0, 0x1000));
    assert_eq!(pages(0x2000, 0x3fff), (W0, 0x2001));
    assert_eq!(pages(0x1_0000, 0x1_4fff), (W0, 0x1_0003));
    assert_eq!(pages(0x7000, 0xafff), (W0, 0x4));
    assert_eq!(
        pages(0x7f00_0020_0000, 0x7f00_003f_ffff),
        (W0, 0x7f00_0020_0009)
    );
    assert_eq!(
        pages(0xffff_8880_0000_0000, u64::MAX),
        (W0, 0xffff_8000_0000_0023)
    );
}

#[test]
fn pasid_device_tlb_by_block() {
    const W0: u64 = 0x0200_0123_0208_8048;
    assert_eq!(device(0x1000, 0x4fff), (W0, 0x3800));
    assert_eq!(device(0x1000, 0x1fff), (W0, 0x1000));
    assert_eq!(device(0x2000, 0x3fff), (W0, 0x2800));
    assert_eq!(device(0x1_0000, 0x1_4fff), (W0, 0x1_3800));
    assert_eq!(device(0x7000, 0xafff), (W0, 0x7800));
    assert_eq!(
        device(0x7f00_0020_0000, 0x7f00_003f_ffff),
        (W0, 0x7f00_002f_f800)
    );
    assert_eq!(
        device(0xffff_8880_0000_0000, u64::MAX),
        (W0, 0xffff_bfff_ffff_f800)
    );
    let all = Command::pasid_device_tlb(target(), pasid(), Block::ALL);
    assert_eq!(words(all), (W0, 0x7fff_ffff_ffff_f800));
}

#[test]
fn pasid_iotlb_whole() {
    let all = Command::pasid_iotlb_all(DID, pasid());
    assert_eq!(words(all), (0x0000_0123_0001_0026, 0));
}

#[test]
fn the_leaf_hint_is_bit_6() {
    let block = Block::holding(0x1000, 0x1fff);
    let leaf = Command::pasid_iotlb_pages(DID, pasid(), block, Depth::Leaf, ANY);
    assert_eq!(words(leaf.unwrap()), (0x0000_0123_0001_0036, 0x1040));
}

#[test]
fn promise_11_no_block_passes_the_largest_mask() {
    let block = Block::holding(0, (4 << 20) - 1);
    let of = |most| Command::pasid_iotlb_pages(DID, pasid(), block, Depth::Tables, most);
    assert_eq!(of(9), None);
    assert_eq!(words(of(10).unwrap()).1, 0xa);
    let legacy = |most| Command::iotlb_pages(DID, block, Depth::Tables, Drain::default(), most);
    assert_eq!(legacy(9), None);
    assert_eq!(words(legacy(10).unwrap()), (0x0001_0032, 0xa));
}

/// S is bit 0 here and bit 11 in type 8; the source id stands at 47:32 here and at 31:16 there, the depth at 20:16 and at 8:4.
#[test]
fn device_tlb_without_pasid() {
    let own = DeviceTarget {
        physical_function: SourceId(0),
        ..target()
    };
    let block = Block::holding(0x1000, 0x4fff);
    let command = Command::device_tlb(own, block);
    assert_eq!(words(command), (0x0000_0208_0004_0003, 0x3001));
    let all = Command::device_tlb(own, Block::ALL);
    assert_eq!(words(all), (0x0000_0208_0004_0003, 0x7fff_ffff_ffff_f001));
    let page = Command::device_tlb(target(), Block::holding(0x1000, 0x1fff));
    assert_eq!(words(page), (0x0200_0208_0004_8003, 0x1000));
}

/// Source ids stand in bits 47:32 of type 3 and in bits 31:16 of type 8; the other types name no device by itself.
#[test]
fn the_device_of_a_device_tlb_invalidation() {
    let device = |first| Command::from_words([first, 0, 0, 0]).device();
    assert_eq!(device(0x0200_0208_0004_8003), Some(SourceId(0x0208)));
    assert_eq!(device(0x0200_0123_0208_8048), Some(SourceId(0x0208)));
    for kind in [1, 2, 4, 5, 6, 7, 9] {
        assert_eq!(device(0x0200_0208_0208_0000 | kind), None);
    }
}

#[test]
fn a_queue_depth_beyond_31_is_coded_as_0() {
    let of = |queue_depth| {
        let target = DeviceTarget {
            queue_depth,
            physical_function: SourceId(0),
            ..target()
        };
        words(Command::pasid_device_tlb(target, pasid(), Block::ALL)).0
    };
    assert_eq!(of(31), 0x0000_0123_0208_01f8);
    assert_eq!(of(32), 0x0000_0123_0208_0008);
    assert_eq!(of(255), 0x0000_0123_0208_0008);
}

#[test]
fn caches_of_tables() {
    assert_eq!(words(Command::context_cache_all()), (0x11, 0));
    assert_eq!(
        words(Command::context_cache_device(SID)),
        (0x0000_0208_0000_0031, 0)
    );
    assert_eq!(words(Command::context_cache_domain(DID)), (0x0001_0021, 0));
    assert_eq!(words(Command::pasid_cache_all()), (0x37, 0));
    assert_eq!(words(Command::pasid_cache_domain(DID)), (0x0001_0007, 0));
    assert_eq!(
        words(Command::pasid_cache_pasid(DID, pasid())),
        (0x0000_0123_0001_0017, 0)
    );
}

/// DW is bit 6 and DR bit 7.
#[test]
fn iotlb_by_domain_and_whole() {
    let reads = Drain {
        reads: true,
        writes: false,
    };
    let writes = Drain {
        reads: false,
        writes: true,
    };
    assert_eq!(words(Command::iotlb_all(Drain::default())), (0x12, 0));
    assert_eq!(words(Command::iotlb_all(reads)), (0x92, 0));
    assert_eq!(words(Command::iotlb_all(writes)), (0x52, 0));
    assert_eq!(words(Command::iotlb_domain(DID, writes)), (0x0001_0062, 0));
}

#[test]
fn waits() {
    let plain = WaitOptions::default();
    let fence = WaitOptions {
        fence: true,
        drain_page_requests: false,
    };
    let drain = WaitOptions {
        fence: false,
        drain_page_requests: true,
    };
    let at = PhysAddr::new(0x1234_5678);
    let status = |options| words(Command::wait_status(at, 0xabcd, options).unwrap());
    assert_eq!(status(plain), (0x0000_abcd_0000_0025, 0x1234_5678));
    assert_eq!(status(fence), (0x0000_abcd_0000_0065, 0x1234_5678));
    assert_eq!(status(drain), (0x0000_abcd_0000_00a5, 0x1234_5678));
    assert_eq!(words(Command::wait_interrupt(plain)), (0x15, 0));
    assert_eq!(words(Command::wait_interrupt(fence)), (0x55, 0));
    assert_eq!(words(Command::wait_fence()), (0x45, 0));
    assert_eq!(Command::wait_status(PhysAddr::new(0x1002), 0, plain), None);
}

#[test]
fn interrupt_entries() {
    assert_eq!(words(Command::interrupt_entries_all()), (0x4, 0));
    assert_eq!(
        words(Command::interrupt_entries(0x1234, 5).unwrap()),
        (0x0000_1234_2800_0014, 0)
    );
    assert_eq!(Command::interrupt_entries(0, 32), None);
}

#[test]
fn page_group_responses() {
    let of = |pasid, group, response| Command::page_group_response(SID, pasid, group, response);
    let success = of(Some(pasid()), 0x155, PageResponse::Success).unwrap();
    assert_eq!(words(success), (0x0000_0123_0208_0019, 0xaa8));
    let invalid = of(None, 1, PageResponse::Invalid).unwrap();
    assert_eq!(words(invalid), (0x0208_1009, 0x8));
    let failure = of(None, 0, PageResponse::Failure).unwrap();
    assert_eq!(words(failure), (0x0208_f009, 0));
    assert_eq!(of(None, 0x200, PageResponse::Success), None);
}

#[test]
fn a_128_bit_queue_takes_what_knows_no_pasid() {
    let wait = Command::wait_interrupt(WaitOptions::default());
    assert_eq!(wait.narrow(), Some([0x15, 0]));
    assert_eq!(Command::context_cache_all().narrow(), Some([0x11, 0]));
    assert_eq!(Command::pasid_cache_all().narrow(), None);
    assert_eq!(Command::pasid_iotlb_all(DID, pasid()).narrow(), None);
}
