//! Many threads submit, attach and detach at once.

use crate::fake::{Bench, Event, leaves, page};
use crate::until::until;
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};

const THREADS: u32 = 4;
const ROUNDS: u64 = 200;

/// One shootdown as the engine runs it.
fn shoot(bench: &Bench, key: AttachKey, first: u64) {
    let (fence, mut cost) = bench.start(key, leaves(first, 2));
    until(|| {
        let answer = bench.link.poll(&mut { fence }, &mut cost);
        (answer == Poll::Ready(Ok(()))).then_some(())
    });
}

/// What is complete was launched since: by page, or with its process.
#[test]
fn promise_05_many_cpus_at_once_lose_nothing() {
    let bench = Bench::shared();
    bench.unit.inner().slow = 2;
    let key = bench.attach(0x42, &[5]);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let bench = &bench;
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    let before = bench.unit.inner().log.len();
                    let first = u64::from(thread) << 32 | round << 16;
                    shoot(bench, key, first);
                    let inner = bench.unit.inner();
                    let since = &inner.log[before..];
                    let whole = since.iter().any(|e| matches!(e, Event::Launch(None, _)));
                    let pages = [page(first), page(first + 0x1000)];
                    assert!(whole || pages.iter().all(|page| since.contains(page)));
                }
            });
        }
    });
    bench.unit.assert_rules_kept();
}

/// A device uses its element until it is told to stop, while others flush; two threads end the same process.
#[test]
fn promise_10_ends_race_with_flushes_and_with_each_other() {
    let bench = Bench::shared();
    let living = bench.attach(0x99, &[9]);
    for round in 0..ROUNDS as u32 {
        let pasids = [round % 4, 4 + round % 4];
        let dying = bench.attach(0x42, &pasids);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut cost = Cost::ZERO;
                    until(|| bench.link.release(dying, &mut cost).ok());
                    let fence = bench.link.seal(&mut cost);
                    bench.finish(fence, &mut cost).unwrap();
                });
            }
            scope.spawn(|| {
                shoot(&bench, dying, 0x1_0000);
                shoot(&bench, living, 0x1_0000);
            });
        });
        let log = bench.unit.take_log();
        let ends = |event| log.iter().filter(|e| **e == event).count();
        for pasid in pasids {
            assert_eq!(ends(Event::Terminate(pasid)), 1, "round {round}");
            assert_eq!(ends(Event::ClearPe(pasid)), 1, "round {round}");
        }
        bench.link.detach(dying, &mut || true).unwrap();
    }
    bench.unit.assert_rules_kept();
}
