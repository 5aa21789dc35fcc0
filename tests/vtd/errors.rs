//! Refused descriptors and devices that do not answer.

use crate::fake::{Bench, CAP, ECAP, FSTS, IQA, IQT, word};
use crate::flushing::{finish, pages, start};
use crate::legacy;
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::{AttachError, Config, Unsupported};
use tlb_shootdown::secondary::{Full, SecondaryError, SecondaryTlb};

/// IQE at the type 6 descriptor: replaced where it stands by an invalidation of everything, IQE cleared, the tail written again.
#[test]
fn promise_05_a_refused_descriptor_is_replaced_by_one_that_covers_it() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().refused.push((6, 1, 4));
    bench.fake.inner().writes.clear();
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [[0xd2, 0], [0x0000_0123_0208_0048, 0x1000], [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
    let inner = bench.fake.inner();
    let [(IQT, tail), (FSTS, 0x10), (IQT, again)] = inner.writes[..] else {
        panic!("{:x?}", inner.writes)
    };
    assert_eq!(tail, again);
}

/// A failed fetch (2) is tried again as it is.
#[test]
fn a_failed_fetch_is_tried_again() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().refused.push((6, 3, 2));
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [[0x0000_0123_0001_0036, 0x1000], [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
}

/// A device descriptor that is refused was not told: the device is asked again, behind everything of the unit.
#[test]
fn promise_05_a_refused_device_descriptor_is_asked_again() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().refused.push((8, 1, 4));
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let log = bench.fake.take_log();
    assert_eq!(log[0], [0x0000_0123_0001_0036, 0x1000]);
    let asked = [0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800];
    assert_eq!(log[log.len() - 2..], [asked, [0x65, 0]]);
}

#[test]
fn a_queue_that_refuses_everything_is_given_up() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    for reason in [2, 4] {
        bench.fake.inner().refused.push((6, 1000, reason));
    }
    bench.fake.inner().refused.push((2, 1000, 4));
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Err(SecondaryError::QueueStopped));
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Err(SecondaryError::QueueStopped));
}

/// ITE: everything of the unit again, then each device alone; the dead one loses its context entry.
#[test]
fn promise_05_a_silent_device_is_asked_alone_and_named() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    bench.add_device(0x0210, true);
    let dying = bench.attach(&[(0x0208, Some(0x123))]);
    let living = bench.attach(&[(0x0210, Some(0x124))]);
    bench.fake.inner().silent = Some(0x0208);
    let (first, _) = start(&bench, dying, pages(0x1000, 0x2000));
    let mut second = first;
    // No other device is told anything before the cause is known.
    let mut cost = Cost::ZERO;
    assert_eq!(bench.vtd.poll(&mut second, &mut cost), Poll::Pending);
    let other = crate::flushing::space(living, pages(0x1000, 0x2000));
    assert_eq!(bench.vtd.queue(&other, &mut cost), Err(Full));
    let expected = Err(SecondaryError::DeviceTimeout { device: 0x0208 });
    assert_eq!(finish(&bench, first), expected);
    assert_eq!(finish(&bench, second), expected);
    let everything = [
        [0x11, 0],
        [0x65, 0],
        [0x37, 0],
        [0x65, 0],
        [0xd2, 0],
        [0x65, 0],
    ];
    let question = [0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800];
    let mut log = vec![
        [0x0000_0123_0001_0036, 0x1000],
        [0x0000_0123_0208_0048, 0x1000],
        [0x25, 0],
    ];
    log.extend(everything);
    log.extend([question, [0x65, 0]]);
    log.extend(everything);
    assert_eq!(bench.fake.take_log(), log);
    let (fence, _) = start(&bench, living, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
}

/// Whatever a drain asks for: FN, the IOTLB, the device TLBs, and a wait with SW, FN and PD.
#[test]
fn page_requests_are_drained() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let mut patience = || true;
    assert_eq!(bench.vtd.drain_page_requests(key, &mut patience), Ok(()));
    let log = bench.fake.take_log();
    assert_eq!(log[0], [0x65, 0]);
    let last = [[0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800], [0xe5, 0]];
    assert_eq!(log[log.len() - 2..], last);
    // PRS.PRO.
    bench.fake.inner().set(0xd8, 2 << 32);
    let lost = bench.vtd.drain_page_requests(key, &mut patience);
    assert_eq!(lost, Err(AttachError::RequestsLost));
}

/// ECAP.PDS, bit 42, and a queue that knows PD: neither alone will do.
#[test]
fn page_requests_are_drained_by_scalable_units_that_can_alone() {
    let unsupported = Err(AttachError::Unsupported(Unsupported::PageRequests));
    let bench = Bench::new(CAP, ECAP & !(1 << 42), Config::new());
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let drained = bench.vtd.drain_page_requests(key, &mut || true);
    assert_eq!(drained, unsupported);
    let bench = legacy::bench_with(1 << 42);
    bench.add_legacy_device(0x0208, true);
    let key = bench.attach(&[(0x0208, None)]);
    let drained = bench.vtd.drain_page_requests(key, &mut || true);
    assert_eq!(drained, unsupported);
}

/// Types 6, 8 and 5 with the type written over: what cannot be read any more may have been for anybody.
#[test]
fn promise_05_a_descriptor_that_was_written_over_is_covered_by_everything() {
    for behind in [3, 2, 1] {
        let bench = Bench::usual();
        bench.add_device(0x0208, true);
        let key = bench.attach(&[(0x0208, Some(0x123))]);
        bench.fake.inner().stalled = true;
        let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
        let mut inner = bench.fake.inner();
        let at = (inner.get(IQA) & !0xfff) + inner.get(IQT) - 32 * behind;
        // SAFETY: within the driver's queue, which is never freed; the unit is at rest.
        unsafe { (at as *mut u64).write_volatile(word(at, 0) | 0xf) };
        inner.refused.push((15, 1, 3));
        inner.stalled = false;
        inner.run(u32::MAX);
        drop(inner);
        assert_eq!(finish(&bench, fence), Ok(()));
        let log = bench.fake.take_log();
        let at = |words| log.iter().position(|&other| other == words);
        let everything = at([0xd2, 0]).expect("everything of the unit");
        let asked = at([0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800]);
        assert!(asked.expect("and of the device") > everything);
        bench.fake.assert_rules_kept();
    }
}

/// What another CPU queued before the time-out and seals after it runs out before anybody is asked, not beside the question.
#[test]
fn promise_05_a_seal_during_the_recovery_is_not_charged_to_the_device_asked() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    bench.add_device(0x0210, true);
    let slow = bench.attach(&[(0x0208, Some(0x123))]);
    let dying = bench.attach(&[(0x0210, Some(0x124))]);
    let mut cost = Cost::ZERO;
    bench.fake.inner().stalled = true;
    let (mut first, _) = start(&bench, slow, pages(0x1000, 0x2000));
    let other = crate::flushing::space(dying, pages(0x1000, 0x2000));
    assert_eq!(bench.vtd.queue(&other, &mut cost), Ok(()));
    bench.fake.inner().silent = Some(0x0208);
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_eq!(bench.vtd.poll(&mut first, &mut cost), Poll::Pending);
    bench.fake.inner().silent = Some(0x0210);
    bench.fake.inner().stalled = true;
    let second = bench.vtd.seal(&mut cost);
    assert_eq!(bench.vtd.poll(&mut first, &mut cost), Poll::Pending);
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_eq!(finish(&bench, first), Ok(()));
    let expected = Err(SecondaryError::DeviceTimeout { device: 0x0210 });
    assert_eq!(finish(&bench, second), expected);
}

/// A detach that gave up leaves a recovery that no fence waits for: whoever is held back by it takes it further.
#[test]
fn promise_05_a_recovery_that_nobody_waits_for_holds_nobody_back_for_ever() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    bench.add_device(0x0210, true);
    let leaving = bench.attach(&[(0x0208, Some(0x123))]);
    let staying = bench.attach(&[(0x0210, Some(0x124))]);
    bench.fake.inner().silent = Some(0x0208);
    let gave_up = bench.vtd.detach(leaving, &mut || false);
    assert_eq!(gave_up, Err(AttachError::Timeout(Some(leaving))));
    let mut cost = Cost::ZERO;
    let flush = crate::flushing::space(staying, pages(0x1000, 0x2000));
    let mut turns = 0;
    while bench.vtd.queue(&flush, &mut cost) == Err(Full) {
        turns += 1;
        assert!(turns < 20, "held back for ever");
        let mut fence = bench.vtd.seal(&mut cost);
        let _ = bench.vtd.poll(&mut fence, &mut cost);
    }
    let fence = bench.vtd.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
}
