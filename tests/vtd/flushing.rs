//! What one shootdown issues, and when its fence is reached.

use crate::fake::{Bench, CAP, ECAP, GCMD, IQT};
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::vtd::Config;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Invalidation, Needs, SecondaryError, SecondaryTlb,
};

pub(crate) fn space(key: AttachKey, flush: Flush) -> Invalidation {
    Invalidation::Space { key, flush }
}

pub(crate) fn pages(start: u64, end: u64) -> Flush {
    let range = PageRange::new(VirtAddr::new(start), VirtAddr::new(end), PageSize::KIB_4);
    Flush::pages(range.unwrap())
}

/// Queues and seals one invalidation.
pub(crate) fn start<const S: usize, const P: usize>(
    bench: &Bench<S, P>,
    key: AttachKey,
    flush: Flush,
) -> (Fence, Cost) {
    let mut cost = Cost::ZERO;
    bench.vtd.queue(&space(key, flush), &mut cost).unwrap();
    (bench.vtd.seal(&mut cost), cost)
}

/// Polls until the fence says something.
#[track_caller]
pub(crate) fn finish<const S: usize, const P: usize>(
    bench: &Bench<S, P>,
    mut fence: Fence,
) -> Result<(), SecondaryError> {
    for _ in 0..1000 {
        if let Poll::Ready(result) = bench.vtd.poll(&mut fence, &mut Cost::default()) {
            return result;
        }
    }
    panic!("{fence:?} is still pending");
}

/// Types 6 and 8 of the same range, then a wait with SW alone: one wait and one doorbell.
#[test]
fn promise_03_a_device_tlb_is_told_behind_the_units_own() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let (fence, cost) = start(&bench, key, pages(0x1000, 0x5000));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (2, 1, 1));
    assert_eq!(cost.queue_barriers, 1);
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [
        [0x0000_0123_0001_0036, 0x3],
        // ECAP.DIT is clear: no PFSID.
        [0x0000_0123_0208_0048, 0x3800],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    bench.fake.assert_rules_kept();
}

/// SW and FN between them, for units that do not order the two by themselves.
#[test]
fn a_wait_between_the_two_is_a_fence_and_counted() {
    let config = Config {
        wait_before_device_tlbs: true,
        ..Config::new()
    };
    let bench = Bench::new(CAP, ECAP, config);
    bench.add_device(0x0208, true);
    bench.add_device(0x0210, false);
    let key = bench.attach(&[(0x0208, Some(0x123)), (0x0210, Some(0x123))]);
    let (fence, cost) = start(&bench, key, Flush::all());
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (2, 2, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [
        [0x0000_0123_0001_0026, 0],
        [0x65, 0],
        [0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
}

/// ECAP.DIT, bit 41: the physical function is named.
#[test]
fn the_physical_function_is_named_where_asked_for() {
    let bench = Bench::new(CAP, ECAP | 1 << 41, Config::new());
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, None)]);
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [
        // Without PASID: entry 0 in the domain of the first address space, 2.
        [0x0000_0000_0002_0036, 0x1000],
        [0x0200_0208_0004_8003, 0x1000],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
}

/// Up to four blocks of 2^MAMV pages; more becomes the whole PASID, counted.
#[test]
fn promise_11_masks_beyond_mamv_are_split_or_counted() {
    // MAMV = 2.
    let bench = Bench::new(CAP & !(0x3f << 48) | 2 << 48, ECAP, Config::new());
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let (fence, cost) = start(&bench, key, pages(0, 0x1_0000));
    assert_eq!((cost.commands, cost.escalations), (4, 0));
    assert_eq!(finish(&bench, fence), Ok(()));
    const W0: u64 = 0x0000_0123_0001_0036;
    let expected = [
        [W0, 0x2],
        [W0, 0x4002],
        [W0, 0x8002],
        [W0, 0xc002],
        [0x25, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    let (fence, cost) = start(&bench, key, pages(0, 0x1_1000));
    assert_eq!((cost.commands, cost.escalations), (1, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.fake.take_log()[0], [0x0000_0123_0001_0026, 0]);
}

/// All PASIDs at once in the unit (G = 1), each for itself in the device.
#[test]
fn freed_kernel_tables_drop_every_pasid() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    bench.attach(&[(0x0208, Some(0x123))]);
    bench.attach(&[(0x0208, None)]);
    let mut cost = Cost::ZERO;
    bench
        .vtd
        .queue(&Invalidation::KernelTables, &mut cost)
        .unwrap();
    let fence = bench.vtd.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    let log = bench.fake.take_log();
    assert_eq!(log[0], [0xd2, 0]);
    assert!(log.contains(&[0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800]));
    assert!(log.contains(&[0x0000_0208_0004_0003, 0x7fff_ffff_ffff_f001]));
    assert_eq!((log.len(), log[3]), (4, [0x25, 0]));
}

/// Tables of the kernel's that no root of theirs leads to are none of the devices'.
#[test]
fn freed_kernel_tables_concern_no_device_that_never_walks_them() {
    let config = Config {
        kernel_tables: false,
        ..Config::new()
    };
    let bench = Bench::new(CAP, ECAP, config);
    bench.add_device(0x0208, true);
    bench.attach(&[(0x0208, Some(0x123))]);
    let mut cost = Cost::ZERO;
    let queued = bench.vtd.queue(&Invalidation::KernelTables, &mut cost);
    assert_eq!(queued, Ok(()));
    let fence = bench.vtd.seal(&mut cost);
    assert_eq!((finish(&bench, fence), cost), (Ok(()), Cost::ZERO));
    assert_eq!(bench.fake.take_log(), Vec::<[u64; 2]>::new());
}

#[test]
fn promise_03_a_fence_is_not_reached_before_its_wait() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let (mut fence, _) = start(&bench, key, pages(0x1000, 0x5000));
    for done in 0..3 {
        let poll = bench.vtd.poll(&mut fence, &mut Cost::default());
        assert_eq!(poll, Poll::Pending, "after {done} of 3");
        bench.fake.inner().run(1);
    }
    let poll = bench.vtd.poll(&mut fence, &mut Cost::default());
    assert_eq!(poll, Poll::Ready(Ok(())));
}

/// Two of one unit: the first is reached while the second is not.
#[test]
fn promise_03_a_fence_waits_for_nothing_behind_it() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let mut fences = [0x1000, 0x2000].map(|at| start(&bench, key, pages(at, at + 0x1000)).0);
    bench.fake.inner().run(2);
    let reached = fences.each_mut().map(|fence| {
        let poll = bench.vtd.poll(fence, &mut Cost::default());
        poll == Poll::Ready(Ok(()))
    });
    assert_eq!(reached, [true, false]);
}

/// The newest wait is looked at first: where that is complete, nobody looks again.
#[test]
fn one_look_serves_every_fence_before_it() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let fences = [0x1000, 0x2000, 0x3000].map(|at| start(&bench, key, pages(at, at + 0x1000)).0);
    bench.fake.inner().run(u32::MAX);
    bench.fake.inner().taken_in = 0;
    for fence in fences {
        assert_eq!(finish(&bench, fence), Ok(()));
        assert_eq!(bench.fake.inner().taken_in, 1);
    }
}

#[test]
fn promise_09_upgrades_are_told_unless_declared_otherwise() {
    assert_eq!(
        Bench::usual().vtd.needs(),
        Needs::UPGRADES | Needs::KERNEL_TABLES
    );
    let config = Config {
        rewalks: true,
        kernel_tables: false,
        ..Config::new()
    };
    assert_eq!(Bench::new(CAP, ECAP, config).vtd.needs(), Needs::empty());
}

/// CAP.RWBF, bit 4: the doorbell is rung when the buffer is empty, for what was sealed when its flush began and for nothing later.
#[test]
fn promise_01_a_write_buffer_is_flushed_before_the_doorbell() {
    let bench = Bench::new(CAP | 1 << 4, ECAP, Config::new());
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let tail = bench.fake.inner().get(IQT);
    bench.fake.inner().buffered = true;
    bench.fake.inner().writes.clear();
    let (mut first, _) = start(&bench, key, pages(0x1000, 0x2000));
    let (second, _) = start(&bench, key, pages(0x3000, 0x4000));
    let poll = bench.vtd.poll(&mut first, &mut Cost::default());
    assert_eq!(poll, Poll::Pending);
    // WBF beside TE and QIE, once: the second flush begins after the first.
    assert_eq!(bench.fake.inner().writes, [(GCMD, 0x8c00_0000)]);
    bench.fake.inner().drain_buffer();
    assert_eq!(finish(&bench, first), Ok(()));
    assert_eq!(bench.fake.inner().get(IQT), tail + 2 * 32);
    bench.fake.inner().drain_buffer();
    assert_eq!(finish(&bench, second), Ok(()));
    assert_eq!(bench.fake.inner().get(IQT), tail + 4 * 32);
    bench.fake.assert_rules_kept();
}
