//! More requests than there are places: they are widened, and none is refused.

use crate::fake::{Bench, Event, WHOLE, leaves, page};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::SecondaryTlb;

/// Eight places. One page is under way, eight wait; the next makes the process of all of them, which is counted, and is as old as the
/// oldest of them.
#[test]
fn promise_05_a_crowd_becomes_the_whole_process() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    let fences: Vec<_> = (1..=9)
        .map(|n| bench.start(key, leaves(n << 20, 1)).0)
        .collect();
    let (last, cost) = bench.start(key, leaves(10 << 20, 1));
    assert_eq!(cost.escalations, 9);
    bench.unit.inner().complete();
    assert_eq!(bench.poll(fences[0]), Poll::Ready(Ok(())));
    for &fence in &fences[1..] {
        assert_eq!(bench.poll(fence), Poll::Pending);
    }
    bench.unit.inner().stalled = false;
    let (late, _) = bench.start(key, leaves(11 << 20, 1));
    assert_eq!(bench.finish(late, &mut Cost::default()), Ok(()));
    assert_eq!(bench.finish(last, &mut Cost::default()), Ok(()));
    for &fence in &fences[1..] {
        assert_eq!(bench.poll(fence), Poll::Ready(Ok(())));
    }
    let log = bench.unit.take_log();
    assert_eq!(log[..2], [page(1 << 20), WHOLE]);
    bench.unit.assert_rules_kept();
}

/// All eight slots are attached: each has room for a request whatever the others do, in any order.
#[test]
fn promise_05_every_process_finds_room() {
    let bench = Bench::usual();
    let keys: Vec<_> = (0..8).map(|n| bench.attach(0x42 + n, &[n])).collect();
    bench.unit.inner().stalled = true;
    for round in 0..4 {
        for (n, &key) in (0..).zip(&keys) {
            for page in 0..3 {
                bench.queue(key, leaves((n + 1) << 24 | (round * 3 + page) << 16, 1));
            }
        }
    }
    let fence = bench.link.seal(&mut Cost::default());
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(fence, &mut Cost::default()), Ok(()));
    let log = bench.unit.take_log();
    for n in 0..8_u64 {
        let whole = Event::Launch(None, 0xc00c_0000_0040_0000 | (0x42 + n) << 25);
        assert!(log.contains(&whole), "process {n} in {log:x?}");
    }
    bench.unit.assert_rules_kept();
}

/// Whatever is pending of a process is in its whole: asked for, not counted as widened.
#[test]
fn everything_takes_the_place_of_its_pages() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    bench.start(key, leaves(0x1000, 1));
    bench.start(key, leaves(0x8000, 4));
    let (fence, mut cost) = bench.start(key, Flush::all());
    assert_eq!(cost.escalations, 0);
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(fence, &mut cost), Ok(()));
    assert_eq!(bench.unit.take_log(), [page(0x1000), WHOLE]);
}

/// What is under way has begun before the stores of whoever asks now: it covers nothing.
#[test]
fn promise_01_a_launch_under_way_covers_nothing() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    let (first, _) = bench.start(key, Flush::all());
    let (second, _) = bench.start(key, Flush::all());
    bench.unit.inner().complete();
    assert_eq!(bench.poll(first), Poll::Ready(Ok(())));
    assert_eq!(bench.poll(second), Poll::Pending);
    bench.unit.inner().complete();
    assert_eq!(bench.poll(second), Poll::Ready(Ok(())));
    assert_eq!(bench.unit.take_log(), [WHOLE, WHOLE]);
}
