//! Release: no walk afterwards, twice or beside a flush or a detach.

use crate::fake::{Bench, Pace};
use crate::flushing::{finish, pages, space, start};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::SecondaryTlb;

fn control(contexts: *const u64, ssid: usize) -> u64 {
    // SAFETY: a live context table of 8 entries.
    unsafe { contexts.wrapping_add(8 * ssid).read_volatile() }
}

/// EPD0 is bit 14, R bit 45; V stays (IHI 0070 5.4).
#[test]
fn promise_10_released_means_silent() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, Some(12));
    let key = bench.attach(&[(5, Some(1))]);
    let other = bench.attach(&[(5, Some(2))]);
    let before = control(contexts, 1);
    let mut cost = Cost::ZERO;
    bench.smmu.release(key, &mut cost).unwrap();
    assert_eq!(control(contexts, 1), before & !(1 << 45) | 1 << 14);
    assert_eq!(control(contexts, 2) & 1 << 14, 0);
    let fence = bench.smmu.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    let expected = [
        [0x5_0000_1005, 1],
        [0x46, 0],
        [0x1_0000_0000_0011, 0],
        [0x46, 0],
        [0x5_0000_1840, 52],
        [0x46, 0],
    ];
    assert_eq!(bench.fake.take_log(), expected);
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 3, 1));
    // Again, and a flush after it, and the detach.
    bench.smmu.release(key, &mut cost).unwrap();
    assert_eq!(finish(&bench, bench.smmu.seal(&mut cost)), Ok(()));
    assert_eq!(control(contexts, 1), before & !(1 << 45) | 1 << 14);
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.detach(key);
    assert_eq!(control(contexts, 1), 0);
    bench.smmu.release(key, &mut cost).unwrap();
    assert_eq!(
        control(contexts, 1),
        0,
        "a released key that is detached touches nothing"
    );
    let (_, cost) = start(&bench, other, pages(0, 0x1000));
    assert_eq!(cost.commands, 2);
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_10_release_beside_a_flush_under_way() {
    let bench = Bench::usual();
    bench.add_stream(5, Some(12));
    let key = bench.attach(&[(5, Some(1))]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    bench
        .smmu
        .queue(&space(key, pages(0, 0x1000)), &mut cost)
        .unwrap();
    bench.smmu.release(key, &mut cost).unwrap();
    let both = bench.smmu.seal(&mut cost);
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, both), Ok(()));
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_10_a_full_ring_does_not_delay_the_end_of_the_walk() {
    let bench = Bench::new(crate::fake::Ids::usual(), 3, Default::default());
    let contexts = bench.add_stream(5, Some(12));
    let key = bench.attach(&[(5, Some(1))]);
    bench.fake.pace(Pace::Stalled);
    start(&bench, key, pages(0, 0x1000));
    let mut cost = Cost::ZERO;
    assert!(bench.smmu.release(key, &mut cost).is_err());
    assert_ne!(control(contexts, 1) & 1 << 14, 0);
    bench.fake.inner().run(8);
    bench.smmu.release(key, &mut cost).unwrap();
    let fence = bench.smmu.seal(&mut cost);
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(finish(&bench, fence), Ok(()));
}

#[test]
fn promise_10_a_stopped_queue_still_stops_the_walk() {
    let bench = Bench::usual();
    let contexts = bench.add_stream(5, None);
    let key = bench.attach(&[(5, Some(1))]);
    bench.fake.inner().set_register(0x60, 1 << 8);
    bench.fake.pace(Pace::Stalled);
    let (fence, _) = start(&bench, key, pages(0, 0x1000));
    assert!(finish(&bench, fence).is_err());
    let mut cost = Cost::ZERO;
    bench.smmu.release(key, &mut cost).unwrap();
    assert_ne!(control(contexts, 1) & 1 << 14, 0);
    assert!(finish(&bench, bench.smmu.seal(&mut cost)).is_err());
}
