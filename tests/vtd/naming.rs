//! Which devices a fence answers for: those of the seal that carried the caller's flush, and none that came later.

use crate::fake::{Bench, CAP, ECAP};
use crate::flushing::{finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::vtd::Config;
use tlb_shootdown::secondary::{Full, SecondaryError, SecondaryTlb};

const NAMED: Result<(), SecondaryError> = Err(SecondaryError::DeviceTimeout { device: 0x0208 });

/// Another CPU sealed the caller's flush together with its own, so that the caller's seal finds nothing open.
#[test]
fn promise_05_a_fence_of_another_cpus_seal_names_the_device_as_well() {
    let bench = Bench::usual();
    bench.add_device(0x0200, false);
    bench.add_device(0x0208, true);
    let earlier = bench.attach(&[(0x0200, Some(0x1))]);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let mut cost = Cost::ZERO;
    bench.fake.inner().stalled = true;
    let (before, _) = start(&bench, earlier, pages(0x1000, 0x2000));
    let flush = space(key, pages(0x1000, 0x2000));
    bench.vtd.queue(&flush, &mut cost).unwrap();
    let theirs = bench.vtd.seal(&mut cost);
    // The seal before theirs is complete, and theirs is not.
    bench.fake.inner().run(2);
    assert_eq!(finish(&bench, before), Ok(()));
    let mine = bench.vtd.seal(&mut cost);
    bench.fake.inner().silent = Some(0x0208);
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_eq!(finish(&bench, mine), NAMED);
    assert_eq!(finish(&bench, theirs), NAMED);
}

/// What was complete before the device died is not undone by its death.
#[test]
fn a_fence_of_what_was_complete_names_nobody() {
    let bench = Bench::usual();
    bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let (fence, _) = start(&bench, key, Flush::all());
    assert_eq!(finish(&bench, fence), Ok(()));
    let nothing_open = bench.vtd.seal(&mut Cost::default());
    bench.fake.inner().silent = Some(0x0208);
    let (fence, _) = start(&bench, key, Flush::all());
    assert_eq!(finish(&bench, fence), NAMED);
    assert_eq!(finish(&bench, nothing_open), Ok(()));
}

/// Slots 64 apart share a bit of the fence; the later device was added right behind its seal.
#[test]
fn a_fence_from_before_a_device_came_does_not_name_it() {
    let bench: Bench<65, 8> = Bench::sized(CAP, ECAP, Config::new());
    bench.add_device(0x0300, true);
    for sid in 1..64 {
        bench.add_device(0x0300 + sid, false);
    }
    let first = bench.attach(&[(0x0300, Some(0x1))]);
    let (fence, _) = start(&bench, first, Flush::all());
    bench.add_device(0x0208, true);
    let last = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().silent = Some(0x0208);
    let (dying, _) = start(&bench, last, Flush::all());
    assert_eq!(finish(&bench, dying), NAMED);
    assert_eq!(finish(&bench, fence), Ok(()));
}

/// While a device is asked alone no other is told anything, but the unit itself is.
#[test]
fn promise_05_a_recovery_holds_back_flushes_of_device_tlbs_alone() {
    let bench = Bench::usual();
    bench.add_device(0x0200, false);
    bench.add_device(0x0208, true);
    bench.add_device(0x0210, true);
    let plain = bench.attach(&[(0x0200, Some(0x1))]);
    let other = bench.attach(&[(0x0210, Some(0x45))]);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().silent = Some(0x0208);
    let (mut dying, _) = start(&bench, key, Flush::all());
    let mut cost = Cost::ZERO;
    assert_eq!(bench.vtd.poll(&mut dying, &mut cost), Poll::Pending);
    let queue = |key| {
        bench
            .vtd
            .queue(&space(key, Flush::all()), &mut Cost::default())
    };
    assert_eq!((queue(other), queue(plain)), (Err(Full), Ok(())));
    let fence = bench.vtd.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(finish(&bench, dying), NAMED);
    assert_eq!(queue(other), Ok(()));
}
