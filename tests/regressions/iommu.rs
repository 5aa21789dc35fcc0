//! Mistakes of drivers in what they write to a queue or a register.

use crate::support::pages;
use crate::{amd, ocxl, smmuv3};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::amd::{DeviceId, DeviceKind, DeviceSetup, Translation, gcr3_len};
use tlb_shootdown::secondary::{AttachKey, Invalidation, SecondaryTlb};

/// The ATC_INVs (opcode 0x40, IHI 0070 4.5.1) that a flush gives a device: address and size of each.
fn atc_invs(stu_shift: u8, flush: Flush) -> Vec<u64> {
    let bench = smmuv3::Bench::usual();
    bench.add_stream(0x10, Some(stu_shift));
    let key = bench.attach(&[(0x10, Some(7))]);
    let mut cost = Cost::ZERO;
    let invalidation = Invalidation::Space { key, flush };
    bench.smmu.queue(&invalidation, &mut cost).unwrap();
    bench.smmu.seal(&mut cost);
    let log = bench.fake.take_log();
    let atcs = log.iter().filter(|[w0, _]| w0 & 0xff == 0x40);
    atcs.map(|[_, w1]| *w1).collect()
}

/// Two pages on either side of a large boundary are in no small block. Who codes the size by the number of pages names one of them twice, and
/// who splits has to send both.
#[test]
fn second_block_of_a_range_was_not_sent() {
    let flush = Flush::pages(pages(7, 8)).leaf_only();
    let mut blocks = atc_invs(12, flush);
    blocks.sort_unstable();
    assert_eq!(blocks, [0x7000, 0x8000]);
}

/// A device's smallest translation unit (STU) may be larger than a page, and an invalidation of less need not do anything (PCIe ATS 10.3).
#[test]
fn device_tlb_was_told_in_less_than_its_units() {
    let flush = Flush::pages(pages(0x25, 0x25)).leaf_only();
    // 16 pages from 0x20000 on.
    assert_eq!(atc_invs(16, flush), [0x2_0000 | 4]);
}

/// PASIDs of more than 16 bits: AMD IOMMUs take bits 19:16 in bits 27:24 of the second doubleword (AMD 48882 2.4.4). Cut off, another
/// process's translations are forgotten.
#[test]
fn pasid_of_twenty_bits_was_cut_to_sixteen() {
    let bench = amd::Bench::usual();
    let kind = DeviceKind::Pasid {
        gcr3: amd::region(gcr3_len(17), 4096),
        pasid_bits: 17,
        refuse_untagged: false,
    };
    let setup = DeviceSetup {
        device: DeviceId(8),
        kind,
        ats: Some(16),
    };
    let wait = &mut amd::turns(&bench.lock, 100);
    bench.iommu.add_device(setup, wait).unwrap();
    let contexts = [amd::context(8, Some(0x1_a5c6))];
    let process = Translation::Process {
        root: PhysAddr::new(0x4_5678_9000),
    };
    let wait = &mut amd::turns(&bench.lock, 100);
    let key = bench.iommu.attach(&contexts, &process, wait).unwrap();
    bench.fake.take_log();
    flush_amd(&bench, key, Flush::all());
    let log = bench.fake.take_log();
    let told = log.iter().find(|[w0, _]| w0 >> 60 == 4).unwrap();
    // Device 8, PASID[15:8] at 23:16, depth 16, queue 8, PASID[7:0] at 55:48, PASID[19:16] at 59:56.
    assert_eq!(told[0], 0x41c6_0008_10a5_0008);
}

/// Equal head and tail mean an empty buffer: who uses the last entry as well has written 256 commands that nobody reads (AMD 48882 2.4; a ring of
/// asterinas, and axvisor #193).
#[test]
fn full_buffer_looked_empty() {
    let bench = amd::Bench::usual();
    bench.add_device(8, None);
    let key = bench.attach(&[(8, 1)]);
    bench.fake.pace(amd::Pace::Stalled);
    let mut cost = Cost::ZERO;
    let mut fences = Vec::new();
    for page in 0..1000 {
        let flush = Flush::pages(pages(page, page)).leaf_only();
        let invalidation = Invalidation::Space { key, flush };
        if bench.iommu.queue(&invalidation, &mut cost).is_err() {
            break;
        }
        fences.push(bench.iommu.seal(&mut cost));
    }
    assert_eq!(fences.len(), 127, "255 entries, two for each");
    // The command buffer's head and tail pointers.
    let register = |offset| bench.fake.inner().register64(offset);
    assert_ne!(register(0x2000), register(0x2008));
}

fn flush_amd(bench: &amd::Bench, key: AttachKey, flush: Flush) {
    let mut cost = Cost::ZERO;
    let invalidation = Invalidation::Space { key, flush };
    bench.iommu.queue(&invalidation, &mut cost).unwrap();
    let mut fence = bench.iommu.seal(&mut cost);
    for _ in 0..100 {
        if bench.iommu.poll(&mut fence, &mut cost).is_ready() {
            return;
        }
    }
    panic!("the flush did not complete");
}

/// Linux codes every size that it does not know as 64 KiB: an entry of another size stays.
#[test]
fn sizes_that_radix_lacks_were_taken_for_64_kib() {
    let bench = ocxl::Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let flush = Flush::page(VirtAddr::new(0x5_4000), PageSize::KIB_16);
    let (log, _) = bench.flush(key, flush);
    assert_eq!(log, [ocxl::WHOLE]);
}

/// A size is of leaves. Where tables are freed it says nothing of what is cached of the way to them, and no launch by page drops all of that.
#[test]
fn freed_tables_were_told_page_by_page() {
    let bench = ocxl::Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let one = PageRange::page(VirtAddr::new(0x1000), PageSize::KIB_4);
    let (log, _) = bench.flush(key, Flush::pages(one).leaf_size(PageSize::KIB_4));
    assert_eq!(log, [ocxl::WHOLE]);
}
