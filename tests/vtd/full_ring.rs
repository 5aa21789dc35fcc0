//! A ring without a wrap bit: one entry stays free, and no lap is mistaken for another.

use crate::fake::{Bench, IQT, turns};
use crate::flushing::{finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::AttachError;
use tlb_shootdown::secondary::{Full, SecondaryTlb};

#[test]
fn promise_05_a_full_ring_says_so_and_drops_nothing() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let mut fences = Vec::new();
    let full = loop {
        let mut cost = Cost::ZERO;
        match bench
            .vtd
            .queue(&space(key, pages(0x1000, 0x2000)), &mut cost)
        {
            Ok(()) => fences.push(bench.vtd.seal(&mut cost)),
            Err(full) => break full,
        }
        assert!(fences.len() < 128, "the ring is full at some time");
    };
    assert_eq!(full, Full);
    // 128 entries less the gap, two for each.
    assert_eq!(fences.len(), 63);
    for fence in &mut fences {
        assert_eq!(bench.vtd.poll(fence, &mut Cost::default()), Poll::Pending);
    }
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_eq!(bench.fake.take_log().len(), 126);
    for fence in fences {
        assert_eq!(finish(&bench, fence), Ok(()));
    }
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.assert_rules_kept();
}

/// The tail wraps at 0x1000, and a fence of a lap ago stays reached while its slot waits anew.
#[test]
fn promise_03_a_slots_word_of_the_last_lap_proves_nothing() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let mut first = start(&bench, key, pages(0x1000, 0x2000)).0;
    for _ in 0..63 {
        let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
        assert_eq!(finish(&bench, fence), Ok(()));
        assert!(bench.fake.inner().get(IQT) < 0x1000);
    }
    bench.fake.inner().stalled = true;
    let (mut second, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(second.sequence - first.sequence, 128, "the same slot");
    assert_eq!(
        bench.vtd.poll(&mut second, &mut Cost::default()),
        Poll::Pending
    );
    assert_eq!(
        bench.vtd.poll(&mut first, &mut Cost::default()),
        Poll::Ready(Ok(()))
    );
}

/// What a wait 2^32 entries ago left in the slot's word looks like what the coming one will write.
#[test]
fn promise_03_a_word_of_2_to_the_32_entries_ago_proves_nothing() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().take_log();
    let (fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let [_, [_, status]] = bench.fake.inner().take_log()[..] else {
        panic!("an invalidation and its wait");
    };
    // The next wait stands two entries on; the words are 8 bytes apart.
    let stale = (status + 16) as *mut u64;
    // SAFETY: within the driver's status words, which are never freed; the unit is at rest.
    unsafe { stale.write_volatile(fence.sequence + 2) };
    bench.fake.inner().stalled = true;
    let (mut fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    let poll = bench.vtd.poll(&mut fence, &mut Cost::default());
    assert_eq!(poll, Poll::Pending);
    bench.fake.inner().run(u32::MAX);
    assert_eq!(finish(&bench, fence), Ok(()));
}

/// Whoever waits for the unit's answer holds nobody up meanwhile.
#[test]
fn promise_06_a_detach_waits_with_the_ring_lock_open() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let late = bench.vtd.detach(key, &mut turns(&bench.lock, 5));
    assert_eq!(late, Err(AttachError::Timeout(Some(key))));
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    assert_eq!(bench.vtd.detach(key, &mut turns(&bench.lock, 5)), Ok(()));
}
