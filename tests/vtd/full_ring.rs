//! A ring without a wrap bit: one entry stays free, and no lap is mistaken for another.

use crate::fake::{Bench, IQA, IQT, turns, word};
use crate::flushing::{finish, pages, space, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::AttachError;
use tlb_shootdown::secondary::{Full, SecondaryError, SecondaryTlb};

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

/// Nor does one that no wait can have written: beyond all that the unit was handed.
#[test]
fn promise_03_a_word_beyond_what_was_submitted_proves_nothing() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let (mut fence, _) = start(&bench, key, pages(0x1000, 0x2000));
    let inner = bench.fake.inner();
    let wait = (inner.get(IQA) & !0xfff) + inner.get(IQT) - 32;
    drop(inner);
    let status = word(wait, 1) as *mut u64;
    // SAFETY: one of the driver's status words, which are never freed; the unit is at rest.
    unsafe { status.write_volatile(fence.sequence + 1) };
    let poll = bench.vtd.poll(&mut fence, &mut Cost::default());
    assert_eq!(poll, Poll::Pending);
    bench.fake.inner().run(u32::MAX);
    assert_eq!(finish(&bench, fence), Ok(()));
}

/// Three entries for each seal; the newest ones are not done, and those before them make room at once.
#[test]
fn promise_05_a_full_ring_has_the_room_of_what_is_complete() {
    let bench = Bench::usual();
    bench.add_device(0x0208, false);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let mut cost = Cost::ZERO;
    let (one, other) = (pages(0x1000, 0x2000), pages(0x8000, 0x9000));
    // 42 seals in 126 of 127 entries.
    for _ in 0..42 {
        bench.vtd.queue(&space(key, one), &mut cost).unwrap();
        bench.vtd.queue(&space(key, other), &mut cost).unwrap();
        bench.vtd.seal(&mut cost);
    }
    assert_eq!(bench.vtd.queue(&space(key, one), &mut cost), Err(Full));
    // What was only fetched may be needed again.
    bench.fake.inner().run(2);
    assert_eq!(bench.vtd.queue(&space(key, one), &mut cost), Err(Full));
    bench.fake.inner().run(1);
    assert_eq!(bench.vtd.queue(&space(key, one), &mut cost), Ok(()));
    bench.vtd.seal(&mut cost);
    bench.fake.inner().run(3 * 10);
    for at in 0..15 {
        assert_eq!(bench.vtd.queue(&space(key, one), &mut cost), Ok(()), "{at}");
        bench.vtd.seal(&mut cost);
    }
    bench.fake.inner().run(u32::MAX);
    bench.fake.assert_rules_kept();
}

/// The one wait of a full ring is aborted and never writes its word: the head alone tells that there is room to recover in.
#[test]
fn promise_05_a_full_ring_recovers_from_a_silent_device() {
    let bench = Bench::usual();
    bench.add_device(0x0200, false);
    bench.add_device(0x0208, true);
    let filler = bench.attach(&[(0x0200, Some(0x1))]);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    bench.fake.inner().stalled = true;
    let mut cost = Cost::ZERO;
    let page = pages(0x1000, 0x2000);
    bench.vtd.queue(&space(key, page), &mut cost).unwrap();
    // Beside these two of the space's own, and the wait.
    for _ in 0..127 - 3 {
        bench.vtd.queue(&space(filler, page), &mut cost).unwrap();
    }
    assert_eq!(bench.vtd.queue(&space(filler, page), &mut cost), Err(Full));
    let fence = bench.vtd.seal(&mut cost);
    bench.fake.inner().silent = Some(0x0208);
    bench.fake.inner().stalled = false;
    bench.fake.inner().run(u32::MAX);
    let named = Err(SecondaryError::DeviceTimeout { device: 0x0208 });
    assert_eq!(finish(&bench, fence), named);
    let (fence, _) = start(&bench, filler, page);
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.assert_rules_kept();
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
