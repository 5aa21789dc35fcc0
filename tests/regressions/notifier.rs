//! Mistakes between the CPUs' flush and the secondary TLBs: what is told, and to whom.

use crate::support::{FakeTlb, Machine, Op, kernel_page, leaf, pages};
use crate::{smmuv3, vtd};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::Config;
use tlb_shootdown::secondary::{AttachKey, Invalidation, Needs, SecondaryTlb};

/// A space with a secondary TLB that nobody runs, and one page mapped.
fn attached() -> (
    &'static Machine,
    &'static crate::support::Engine,
    &'static crate::support::Space,
    &'static FakeTlb,
) {
    let (machine, engine) = Machine::new(2, true);
    let space = machine.new_space();
    let iommu = FakeTlb::new(machine, "iommu", Needs::UPGRADES);
    let key = space.id().raw();
    machine.map(space, 7, 1);
    let _attached = engine.attach(space, iommu, AttachKey(key)).unwrap();
    iommu.start_walks(key);
    assert_eq!(iommu.read(key, 7), Some(1));
    (machine, engine, space, iommu)
}

fn invalidation(key: u64, flush: Flush) -> Op {
    let key = AttachKey(key);
    Op::Invalidate(Invalidation::Space { key, flush })
}

/// Linux f7edb07ad7c6: the macro that issued the CPUs' TLBIs moved `start` on, and the notice that followed was of (end, end): nothing, or
/// everything, as each driver liked.
#[test]
fn range_was_used_up_before_the_notice() {
    let (machine, engine, space, iommu) = attached();
    machine.run_on(space, 0..2, 7);
    machine.unmap(space, 7);
    let flush = Flush::pages(pages(5, 8)).leaf_only();
    engine.flush(space, flush).unwrap();
    let key = space.id().raw();
    assert_eq!(iommu.queued(), [invalidation(key, flush)]);
    assert_eq!(iommu.read(key, 7), None);
}

/// Linux on riscv: `__flush_tlb_range` returns where no CPU is in the mask, before the notice. A device needs no CPU to run the process.
#[test]
fn nobody_was_told_where_no_cpu_ran_the_space() {
    let (machine, engine, space, iommu) = attached();
    machine.unmap(space, 7);
    engine.flush(space, leaf(7)).unwrap();
    assert_eq!(iommu.read(space.id().raw(), 7), None);
}

/// Linux on POWER: `flush_tlb_page`, of copy on write and migration, tells no secondary TLB; ranges do.
#[test]
fn flush_of_one_page_told_no_secondary_tlb() {
    let (machine, engine, space, iommu) = attached();
    machine.run_on(space, 0..2, 7);
    machine.unmap(space, 7);
    engine
        .flush_page(space, VirtAddr::new(0x7000), PageSize::KIB_4)
        .unwrap();
    assert_eq!(iommu.read(space.id().raw(), 7), None);
}

/// Linux since freed kernel tables are told: the notice is (PAGE_OFFSET, -1), and only (0, -1) passes for everything. A range that ends with
/// the address space has no end that can be written.
#[test]
fn kernel_range_to_the_top_was_taken_for_nothing() {
    let (machine, engine) = Machine::new(1, true);
    let iommu = FakeTlb::new(machine, "iommu", Needs::KERNEL_TABLES);
    engine.register_instance(iommu).unwrap();
    let first = kernel_page(1).first();
    let upper = PageRange::inclusive(first, VirtAddr::new(u64::MAX), PageSize::KIB_4).unwrap();
    engine.flush_kernel_tables(upper).unwrap();
    assert_eq!(iommu.queued(), [Op::Invalidate(Invalidation::KernelTables)]);
}

/// Linux e7ad6c2a4b1a: everything is (0, -1), whose end was rounded up to 0 by the VT-d driver: no pages, and every full flush was lost.
#[test]
fn everything_was_rounded_up_to_no_pages() {
    let bench = vtd::Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let mut cost = Cost::ZERO;
    let flush = Flush::all();
    let everything = Invalidation::Space { key, flush };
    bench.vtd.queue(&everything, &mut cost).unwrap();
    bench.vtd.seal(&mut cost);
    // PASID-based IOTLB invalidation of one PASID, G = 2 (VT-d 6.5.2.4), and the wait.
    assert_eq!(
        bench.fake.take_log(),
        [[0x0000_0123_0001_0026, 0], [0x25, 0]]
    );
}

/// Linux d5afb4b47e13, CVE-2023-52484: an SMMU without range commands was told of a huge range page by page, and the CPU was gone for half a
/// minute. A full table of them is where the whole address space is cheaper.
#[test]
fn huge_range_was_told_page_by_page() {
    let ids = smmuv3::Ids::usual().without_ranges();
    let bench = smmuv3::Bench::new(ids, 14, Config::new());
    bench.add_stream(0x10, None);
    let key = bench.attach(&[(0x10, Some(1))]);
    let mut cost = Cost::ZERO;
    for (last, commands) in [(511, 512), (512, 1), (4000, 1)] {
        let flush = Flush::pages(pages(0, last)).leaf_only();
        let range = Invalidation::Space { key, flush };
        let mut cost_of_one = Cost::ZERO;
        bench.smmu.queue(&range, &mut cost_of_one).unwrap();
        bench.smmu.seal(&mut cost);
        assert_eq!(cost_of_one.commands, commands);
    }
}
