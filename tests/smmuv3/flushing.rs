//! What one shootdown issues, and when its fence is reached.

use crate::fake::{Bench, Ids, Pace};
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::Config;
use tlb_shootdown::secondary::{AttachKey, Fence, Invalidation, SecondaryTlb};

pub(crate) fn space(key: AttachKey, flush: Flush) -> Invalidation {
    Invalidation::Space { key, flush }
}

pub(crate) fn pages(start: u64, end: u64) -> Flush {
    let range = PageRange::new(VirtAddr::new(start), VirtAddr::new(end), PageSize::KIB_4);
    Flush::pages(range.unwrap())
}

/// Queues and seals one invalidation.
pub(crate) fn start(bench: &Bench, key: AttachKey, flush: Flush) -> (Fence, Cost) {
    let mut cost = Cost::ZERO;
    bench.smmu.queue(&space(key, flush), &mut cost).unwrap();
    (bench.smmu.seal(&mut cost), cost)
}

/// Queues the same until there is no room for more.
#[track_caller]
pub(crate) fn fill_up(bench: &Bench, invalidation: &Invalidation, cost: &mut Cost) {
    let refused = (0..1000).any(|_| bench.smmu.queue(invalidation, cost).is_err());
    assert!(refused, "the ring is never full");
}

/// Polls until the fence says something.
#[track_caller]
pub(crate) fn finish(
    bench: &Bench,
    mut fence: Fence,
) -> Result<(), tlb_shootdown::secondary::SecondaryError> {
    for _ in 0..1000 {
        if let Poll::Ready(result) = bench.smmu.poll(&mut fence, &mut Cost::default()) {
            return result;
        }
    }
    panic!("{fence:?} is still pending");
}

#[test]
fn one_page_takes_one_command_one_sync_one_doorbell() {
    let bench = Bench::usual();
    bench.add_stream(0x10, None);
    let key = bench.attach(&[(0x10, Some(1))]);
    let doorbells = bench.fake.inner().doorbells;
    let (fence, cost) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (1, 1, 1));
    assert_eq!((cost.queue_barriers, cost.escalations), (1, 0));
    assert_eq!(bench.fake.inner().doorbells - doorbells, 1);
    assert_eq!(finish(&bench, fence), Ok(()));
    // TLBI_NH_VA, ASID 1, one address with TG = 0 (IHI 0070 4.4.1.1); CMD_SYNC.
    assert_eq!(
        bench.fake.take_log(),
        [[0x0001_0000_0000_0012, 0x1000], [0x46, 0]]
    );
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_03_a_device_tlb_is_told_after_the_smmu_is_done() {
    let bench = Bench::usual();
    bench.add_stream(0x10, Some(12));
    let key = bench.attach(&[(0x10, Some(7))]);
    let (fence, cost) = start(&bench, key, pages(0x1000, 0x5000));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (2, 2, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [
        // SCALE 2, NUM 0: four pages (Linux arm_smmu_cmdq_batch_add_range; IHI 0070 4.4.1.1), ASID 1.
        [0x0001_0000_0020_0012, 0x1400],
        [0x46, 0],
        // Pages 1 to 4: 32 KiB at 0 (Linux arm_smmu_atc_inv_to_cmd; IHI 0070 4.5.1).
        [0x0000_0010_0000_7840, 0x3],
        [0x46, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}

/// A device whose smallest translation unit is 16 KiB ignores smaller blocks: size 2 (IHI 0070 4.5.1; PCIe STU).
#[test]
fn promise_03_a_device_tlb_is_told_in_its_own_units() {
    let bench = Bench::usual();
    bench.add_stream(0x10, Some(14));
    let key = bench.attach(&[(0x10, Some(7))]);
    let (fence, _) = start(&bench, key, pages(0x5000, 0x6000));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.fake.take_log()[2], [0x10_0000_7840, 0x4002]);
}

#[test]
fn promise_03_a_fence_is_not_reached_before_its_last_sync() {
    let bench = Bench::usual();
    bench.add_stream(0x10, Some(12));
    let key = bench.attach(&[(0x10, Some(7))]);
    bench.fake.pace(Pace::Stalled);
    let (mut fence, _) = start(&bench, key, pages(0x1000, 0x5000));
    for consumed in 0..4 {
        let poll = bench.smmu.poll(&mut fence, &mut Cost::default());
        assert_eq!(poll, Poll::Pending, "after {consumed} of 4 commands");
        bench.fake.inner().run(1);
    }
    let poll = bench.smmu.poll(&mut fence, &mut Cost::default());
    assert_eq!(poll, Poll::Ready(Ok(())));
}

#[test]
fn eight_devices_take_one_doorbell_and_two_syncs() {
    let bench = Bench::usual();
    let contexts: Vec<_> = (0..8).map(|sid| (sid, Some(1))).collect();
    for &(sid, _) in &contexts {
        bench.add_stream(sid, Some(12));
    }
    let key = bench.attach(&contexts);
    let (fence, cost) = start(&bench, key, pages(0x8000, 0x1_0000));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (9, 2, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.assert_rules_kept();
}

#[test]
fn a_submission_that_was_carried_rings_nothing() {
    let bench = Bench::usual();
    bench.add_stream(0x10, Some(12));
    let key = bench.attach(&[(0x10, Some(7))]);
    bench.fake.pace(Pace::Stalled);
    let (mut mine, mut theirs) = (Cost::ZERO, Cost::ZERO);
    bench
        .smmu
        .queue(&space(key, pages(0x1000, 0x2000)), &mut mine)
        .unwrap();
    bench
        .smmu
        .queue(&space(key, pages(0x9000, 0xa000)), &mut theirs)
        .unwrap();
    let their_fence = bench.smmu.seal(&mut theirs);
    let my_fence = bench.smmu.seal(&mut mine);
    assert_eq!((mine.syncs, mine.doorbells), (0, 0));
    assert_eq!((theirs.syncs, theirs.doorbells), (2, 1));
    assert_eq!(my_fence, their_fence);
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, my_fence), Ok(()));
    assert_eq!(finish(&bench, their_fence), Ok(()));
    bench.fake.assert_rules_kept();
}

#[test]
fn the_whole_space_takes_one_command() {
    let bench = Bench::usual();
    bench.add_stream(0x10, None);
    let key = bench.attach(&[(0x10, Some(1))]);
    let (_, cost) = start(&bench, key, Flush::all());
    assert_eq!((cost.commands, cost.escalations), (1, 0));
    // TLBI_NH_ASID, ASID 1.
    assert_eq!(bench.fake.take_log()[0], [0x0001_0000_0000_0011, 0]);
}

#[test]
fn promise_11_without_range_fields_many_pages_become_the_space_and_are_counted() {
    let bench = Bench::new(Ids::usual().without_ranges(), 11, Config::new());
    bench.add_stream(0x10, None);
    let key = bench.attach(&[(0x10, Some(1))]);
    let (_, few) = start(&bench, key, pages(0, 512 << 12));
    assert_eq!((few.commands, few.escalations), (512, 0));
    bench.fake.take_log();
    let (_, many) = start(&bench, key, pages(0, 513 << 12));
    assert_eq!((many.commands, many.escalations), (1, 1));
    assert_eq!(bench.fake.take_log()[0], [0x0001_0000_0000_0011, 0]);
}

#[test]
fn kernel_tables_concern_an_smmu_only_where_it_was_said() {
    let quiet = Bench::usual();
    let mut cost = Cost::ZERO;
    quiet
        .smmu
        .queue(&Invalidation::KernelTables, &mut cost)
        .unwrap();
    assert_eq!(cost, Cost::ZERO);
    let config = Config {
        kernel_tables: true,
        ..Config::new()
    };
    let bench = Bench::new(Ids::usual(), 8, config);
    bench.add_stream(0x10, Some(12));
    bench.fake.take_log();
    bench
        .smmu
        .queue(&Invalidation::KernelTables, &mut cost)
        .unwrap();
    let fence = bench.smmu.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    // TLBI_NSNH_ALL, CMD_SYNC, ATC_INV of everything for every substream, CMD_SYNC.
    let expected = [[0x30, 0], [0x46, 0], [0x10_0000_0040, 52], [0x46, 0]];
    assert_eq!(bench.fake.take_log(), expected);
}
