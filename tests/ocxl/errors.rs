//! Registers that do not answer, devices that do not let go, firmware that cannot.

use crate::fake::{Bench, Event, Manners, WHOLE, context, leaves, page};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::ocxl::{AttachError, Unfinished};
use tlb_shootdown::secondary::{Full, SecondaryError, SecondaryTlb};

/// STAT that never clears: pending for ever, and nothing is written over it; it clears late, and all goes on.
#[test]
fn promise_05_stat_that_does_not_clear_loses_nothing() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    let (first, _) = bench.start(key, leaves(0x1000, 1));
    let (second, _) = bench.start(key, leaves(0x7000, 2));
    for _ in 0..1000 {
        assert_eq!(bench.poll(first), Poll::Pending);
        assert_eq!(bench.poll(second), Poll::Pending);
    }
    assert_eq!(bench.unit.inner().log, [page(0x1000)]);
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(second, &mut Cost::default()), Ok(()));
    assert_eq!(bench.poll(first), Poll::Ready(Ok(())));
    let expected = [page(0x1000), page(0x7000), page(0x8000)];
    assert_eq!(bench.unit.take_log(), expected);
    bench.unit.assert_rules_kept();
}

/// All ones: nobody answers, which is an error and never done. When somebody does again, what was under way is launched again.
#[test]
fn promise_03_registers_that_nobody_answers_are_a_failure() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    let (first, _) = bench.start(key, leaves(0x1000, 1));
    bench.unit.inner().dead = true;
    let failed = Poll::Ready(Err(SecondaryError::Failed));
    let (second, _) = bench.start(key, leaves(0x7000, 1));
    for _ in 0..3 {
        assert_eq!(bench.poll(first), failed);
        assert_eq!(bench.poll(second), failed);
    }
    bench.unit.inner().reset();
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(second, &mut Cost::default()), Ok(()));
    assert_eq!(bench.poll(first), Poll::Ready(Ok(())));
    let expected = [page(0x1000), page(0x1000), page(0x7000)];
    assert_eq!(bench.unit.take_log(), expected);
    bench.unit.assert_rules_kept();
}

/// What was complete before stays so.
#[test]
fn promise_05_a_failure_is_not_charged_to_what_was_complete() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let (done, mut cost) = bench.start(key, leaves(0x1000, 1));
    assert_eq!(bench.finish(done, &mut cost), Ok(()));
    bench.unit.inner().dead = true;
    let (lost, _) = bench.start(key, leaves(0x2000, 1));
    assert_eq!(bench.poll(lost), Poll::Ready(Err(SecondaryError::Failed)));
    assert_eq!(bench.poll(done), Poll::Ready(Ok(())));
    assert_eq!(
        bench.detach(key),
        Err(AttachError::Failed(SecondaryError::Failed))
    );
}

/// The element is as it was, the PASID is taken, and the error says whose it is. Reset, the device has let go, and the end goes on.
#[test]
fn promise_04_a_device_that_does_not_let_go_keeps_its_element() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().manners.insert(5, Manners::Never);
    let held = Unfinished::Termination(context(5));
    assert_eq!(bench.detach(key), Err(AttachError::Timeout(key, held)));
    assert_eq!(bench.link.unfinished(key), Some(held));
    assert_eq!(bench.unit.inner().element(5, 0), 0x9600_0000_0000_4010);
    assert_eq!(bench.unit.inner().element(5, 15), 0x8000_0000);
    assert_eq!(bench.reserve(0x43, &[5]), Err(AttachError::InUse));
    assert_eq!(bench.link.install(key), Err(AttachError::Released));
    // Asked once, and looked at since.
    assert_eq!(bench.unit.take_log(), [Event::Terminate(5)]);
    bench.unit.inner().manners.clear();
    bench.detach(key).unwrap();
    let expected = [Event::Terminated(5), Event::ClearPe(5), WHOLE];
    assert_eq!(bench.unit.take_log(), expected);
    bench.unit.assert_rules_kept();
}

/// It is asked again by the next detach.
#[test]
fn a_device_that_refuses_is_named_and_asked_again() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().manners.insert(5, Manners::Refuses);
    let refused = AttachError::Host(Unfinished::Termination(context(5)));
    assert_eq!(bench.detach(key), Err(refused));
    assert_eq!(bench.link.release(key, &mut Cost::default()), Err(Full));
    bench.unit.inner().manners.clear();
    bench.detach(key).unwrap();
    bench.unit.assert_rules_kept();
}

/// The element is gone, and the PASID stays taken while the link may have it cached.
#[test]
fn firmware_that_cannot_clear_the_pe_cache_is_named_and_asked_again() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().firmware_refuses = 1;
    let refused = AttachError::Host(Unfinished::PeCache(context(5)));
    assert_eq!(bench.detach(key), Err(refused));
    assert_eq!(bench.reserve(0x43, &[5]), Err(AttachError::InUse));
    bench.detach(key).unwrap();
    let expected = [
        Event::Terminate(5),
        Event::Terminated(5),
        Event::ClearPe(5),
        WHOLE,
    ];
    assert_eq!(bench.unit.take_log(), expected);
}
