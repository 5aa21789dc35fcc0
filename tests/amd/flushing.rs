//! One shootdown: what is submitted, in which order, and what waits for what.

use crate::fake::{Bench, CAPABILITY, FEATURES, Pace, WITHOUT_ALL, memory};
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::amd::Config;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Invalidation, Needs, SecondaryError, SecondaryTlb,
};

pub(crate) fn pages(start: u64, end: u64) -> Flush {
    let range = PageRange::new(VirtAddr::new(start), VirtAddr::new(end), PageSize::KIB_4);
    Flush::pages(range.unwrap())
}

pub(crate) fn space(key: AttachKey, flush: Flush) -> Invalidation {
    Invalidation::Space { key, flush }
}

/// A flush of one page, queued and sealed.
pub(crate) fn start<const SLOTS: usize>(bench: &Bench<SLOTS>, key: AttachKey, page: u64) -> Fence {
    let mut cost = Cost::ZERO;
    let invalidation = space(key, pages(page << 12, (page + 1) << 12));
    bench.iommu.queue(&invalidation, &mut cost).unwrap();
    bench.iommu.seal(&mut cost)
}

/// Polls so often at most.
pub(crate) fn poll_for<const SLOTS: usize>(
    bench: &Bench<SLOTS>,
    fence: &mut Fence,
    cost: &mut Cost,
    most: u32,
) -> Poll<Result<(), SecondaryError>> {
    for _ in 0..most {
        let polled = bench.iommu.poll(fence, cost);
        if polled.is_ready() {
            return polled;
        }
    }
    Poll::Pending
}

/// A whole shootdown.
pub(crate) fn shoot(
    bench: &Bench,
    invalidation: &Invalidation,
) -> (Result<(), SecondaryError>, Cost) {
    let mut cost = Cost::ZERO;
    bench.iommu.queue(invalidation, &mut cost).unwrap();
    let mut fence = bench.iommu.seal(&mut cost);
    match poll_for(bench, &mut fence, &mut cost, 1000) {
        Poll::Ready(result) => (result, cost),
        Poll::Pending => panic!("not complete"),
    }
}

fn counts(cost: Cost) -> [u32; 5] {
    [
        cost.commands,
        cost.syncs,
        cost.doorbells,
        cost.queue_barriers,
        cost.escalations,
    ]
}

/// The domain of the device that was added first.
const DOMAIN: u64 = 1;

#[test]
fn a_process_without_device_tlb_takes_one_wait_and_one_doorbell() {
    let bench = Bench::usual();
    bench.add_device(0x18, None);
    let key = bench.attach(&[(0x18, 0x123)]);
    bench.fake.inner().doorbells = 0;
    let (result, cost) = shoot(&bench, &space(key, pages(0x1000, 0x2000)));
    assert_eq!(result, Ok(()));
    assert_eq!(counts(cost), [1, 1, 1, 1, 0]);
    assert_eq!(bench.fake.inner().doorbells, 1);
    let log = bench.fake.take_log();
    assert_eq!(log[0], [0x3000_0000_0000_0123 | DOMAIN << 32, 0x1006]);
    assert_eq!(log[1][0] >> 60, 1);
    assert_eq!(log.len(), 2);
    bench.fake.assert_rules_kept();
}

/// Two waits and two doorbells, whatever the number of devices.
#[test]
fn promise_03_device_tlbs_come_after_the_iommu_has_forgotten() {
    for pace in [Pace::AtDoorbell, Pace::AtRead(1), Pace::AtRead(100)] {
        let bench = Bench::usual();
        bench.add_device(0x10, Some(32));
        bench.add_device(0x11, Some(1));
        let key = bench.attach(&[(0x10, 0x12), (0x11, 0x12)]);
        bench.fake.pace(pace);
        let (result, cost) = shoot(&bench, &space(key, pages(0x2000, 0x4000)));
        assert_eq!(result, Ok(()));
        assert_eq!(counts(cost), [4, 2, 2, 2, 0]);
        assert_eq!(
            bench.fake.take_invalidations(),
            [
                [0x3000_0001_0000_0012, 0x2007],
                [0x3000_0002_0000_0012, 0x2007],
                [0x4012_0010_2000_0010, 0x2005],
                [0x4012_0011_0100_0011, 0x2005],
            ]
        );
        bench.fake.assert_rules_kept();
    }
}

/// What was handed over is not what was done, also where no device's TLB is waited for.
#[test]
fn promise_03_a_fence_without_device_tlbs_waits_for_its_store() {
    let bench = Bench::usual();
    bench.add_device(0x18, None);
    let key = bench.attach(&[(0x18, 0x123)]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    let invalidation = space(key, pages(0x1000, 0x2000));
    bench.iommu.queue(&invalidation, &mut cost).unwrap();
    let mut fence = bench.iommu.seal(&mut cost);
    for _ in 0..2 {
        let polled = poll_for(&bench, &mut fence, &mut cost, 10);
        assert_eq!(polled, Poll::Pending);
        bench.fake.run(1);
    }
    let polled = poll_for(&bench, &mut fence, &mut cost, 10);
    assert_eq!(polled, Poll::Ready(Ok(())));
}

#[test]
fn promise_03_a_fence_waits_for_its_own_commands() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 1)]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    bench
        .iommu
        .queue(&space(key, pages(0x1000, 0x2000)), &mut cost)
        .unwrap();
    let mut fence = bench.iommu.seal(&mut cost);
    assert_eq!(poll_for(&bench, &mut fence, &mut cost, 10), Poll::Pending);
    bench.fake.run(1);
    assert_eq!(poll_for(&bench, &mut fence, &mut cost, 10), Poll::Pending);
    bench.fake.run(1);
    assert_eq!(
        poll_for(&bench, &mut fence, &mut cost, 10),
        Poll::Pending,
        "the device's TLB"
    );
    bench.fake.run(1);
    assert_eq!(
        poll_for(&bench, &mut fence, &mut cost, 10),
        Poll::Pending,
        "its wait"
    );
    bench.fake.run(1);
    assert_eq!(
        poll_for(&bench, &mut fence, &mut cost, 10),
        Poll::Ready(Ok(()))
    );
}

/// Never a flag that says that somebody else's wait will do: another caller's seal took mine along.
#[test]
fn promise_03_what_another_has_sealed_is_still_waited_for() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 1)]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    for page in 1..3 {
        let invalidation = space(key, pages(page << 12, (page + 1) << 12));
        bench.iommu.queue(&invalidation, &mut cost).unwrap();
    }
    let mut theirs = bench.iommu.seal(&mut cost);
    let mut mine = bench.iommu.seal(&mut cost);
    for _ in 0..3 + 3 {
        assert_eq!(poll_for(&bench, &mut mine, &mut cost, 3), Poll::Pending);
        bench.fake.run(1);
    }
    assert_eq!(
        poll_for(&bench, &mut mine, &mut cost, 3),
        Poll::Ready(Ok(()))
    );
    assert_eq!(
        poll_for(&bench, &mut theirs, &mut cost, 3),
        Poll::Ready(Ok(()))
    );
}

#[test]
fn a_domain_is_invalidated_once_for_all_of_its_devices() {
    let bench = Bench::usual();
    bench.add_host_device(0x10, None);
    bench.add_host_device(0x11, Some(32));
    let key = bench.attach_host(&[0x10, 0x11]);
    let (result, cost) = shoot(&bench, &space(key, pages(0x1000, 0x2000)));
    assert_eq!(result, Ok(()));
    assert_eq!(counts(cost), [2, 2, 2, 2, 0]);
    assert_eq!(
        bench.fake.take_invalidations(),
        [
            [0x3000_0001_0000_0000, 0x1002],
            [0x4000_0011_2000_0011, 0x1000]
        ]
    );
}

/// One block where it is at most twice the request, else two.
#[test]
fn promise_11_a_range_takes_two_blocks_at_most() {
    let bench = Bench::usual();
    bench.add_device(0x10, None);
    let key = bench.attach(&[(0x10, 1)]);
    let (_, cost) = shoot(&bench, &space(key, pages(0x1000, 0x5000)));
    assert_eq!(counts(cost), [1, 1, 1, 1, 0]);
    assert_eq!(
        bench.fake.take_invalidations(),
        [[0x3000_0001_0000_0001, 0x3007]]
    );
    let (_, cost) = shoot(&bench, &space(key, pages(0x7000, 0x9000)));
    assert_eq!(counts(cost), [2, 1, 1, 1, 0]);
    assert_eq!(
        bench.fake.take_invalidations(),
        [
            [0x3000_0001_0000_0001, 0x7006],
            [0x3000_0001_0000_0001, 0x8006]
        ]
    );
    let (_, cost) = shoot(&bench, &space(key, Flush::all()));
    assert_eq!(counts(cost), [1, 1, 1, 1, 0]);
    assert_eq!(
        bench.fake.take_invalidations(),
        [[0x3000_0001_0000_0001, 0x7fff_ffff_ffff_f007]]
    );
}

#[test]
fn promise_08_freed_kernel_tables_reach_every_process_table() {
    for (features, first_stage) in [
        (FEATURES, vec![[0x8000_0000_0000_0000, 0]]),
        (
            WITHOUT_ALL,
            vec![
                [0x3000_0001_0000_0001, 0x7fff_ffff_ffff_f007],
                [0x3000_0002_0000_0002, 0x7fff_ffff_ffff_f007],
            ],
        ),
    ] {
        let bench = Bench::new(features, Config::new(CAPABILITY), memory());
        bench.add_device(0x10, Some(32));
        bench.add_device(0x11, None);
        bench.add_host_device(0x12, Some(32));
        bench.attach(&[(0x10, 1)]);
        bench.attach(&[(0x11, 2)]);
        bench.attach_host(&[0x12]);
        assert_eq!(shoot(&bench, &Invalidation::KernelTables).0, Ok(()));
        let mut expected = first_stage;
        expected.push([0x4001_0010_2000_0010, 0x7fff_ffff_ffff_f005]);
        assert_eq!(bench.fake.take_invalidations(), expected);
        bench.fake.assert_rules_kept();
    }
}

#[test]
fn promise_09_upgrades_are_told_unless_the_kernel_vouches_for_the_hardware() {
    let bench = Bench::usual();
    assert_eq!(bench.iommu.needs(), Needs::UPGRADES | Needs::KERNEL_TABLES);
    let config = Config {
        rewalks: true,
        kernel_tables: false,
        ..Config::new(CAPABILITY)
    };
    let bench = Bench::new(FEATURES, config, memory());
    assert_eq!(bench.iommu.needs(), Needs::empty());
}

/// What one CPU has queued another may seal: the fence of the first waits for its second stage all the same.
#[test]
fn promise_03_a_second_stage_that_somebody_else_sealed_is_waited_for() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    bench.add_device(0x11, None);
    let with = bench.attach(&[(0x10, 1)]);
    let without = bench.attach(&[(0x11, 2)]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    let page = |key| space(key, pages(0x1000, 0x2000));
    bench.iommu.queue(&page(with), &mut cost).unwrap();
    let _theirs = bench.iommu.seal(&mut cost);
    bench.iommu.queue(&page(without), &mut cost).unwrap();
    let mut mine = bench.iommu.seal(&mut cost);
    bench.fake.run(4);
    assert_eq!(bench.iommu.poll(&mut mine, &mut cost), Poll::Pending);
    bench.fake.run(2);
    assert_eq!(bench.iommu.poll(&mut mine, &mut cost), Poll::Ready(Ok(())));
}
