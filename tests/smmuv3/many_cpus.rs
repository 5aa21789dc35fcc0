//! Many threads submit at once, with a device that dies under them.

use crate::fake::{Bench, Ids, Pace};
use crate::flushing::{pages, space};
use crate::until::until;
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::smmuv3::Config;
use tlb_shootdown::secondary::{Full, SecondaryError, SecondaryTlb};

const THREADS: u32 = 4;
const ROUNDS: u64 = 200;

/// One shootdown as the engine runs it: nobody else is needed for its progress.
fn shoot(
    bench: &Bench,
    key: tlb_shootdown::secondary::AttachKey,
    page: u64,
) -> Result<(), SecondaryError> {
    let mut cost = Cost::ZERO;
    let one = space(key, pages(page << 12, (page + 1) << 12));
    until(|| {
        let queued = bench.smmu.queue(&one, &mut cost);
        if queued == Err(Full) {
            let mut open = bench.smmu.seal(&mut cost);
            let _ = bench.smmu.poll(&mut open, &mut cost);
        }
        queued.ok()
    });
    let mut fence = bench.smmu.seal(&mut cost);
    until(|| match bench.smmu.poll(&mut fence, &mut cost) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    })
}

fn run(log2: u32, dying: Option<u32>) {
    let bench = Bench::new(Ids::usual(), log2, Config::new());
    let keys: Vec<_> = (0..THREADS)
        .map(|sid| {
            bench.add_stream(sid, Some(12));
            bench.attach(&[(sid, Some(1))])
        })
        .collect();
    bench.fake.pace(Pace::AtRead(3));
    std::thread::scope(|scope| {
        for (sid, &key) in (0..).zip(&keys) {
            let bench = &bench;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if dying == Some(sid) && round == ROUNDS / 2 {
                        bench.fake.inner().dead.insert(sid);
                    }
                    let result = shoot(bench, key, u64::from(sid) << 20 | round);
                    match result {
                        Ok(()) => {
                            let log = &bench.fake.inner().log;
                            let mine = |w: &&[u64; 2]| {
                                w[0] as u8 == 0x12 && w[1] >> 12 == u64::from(sid) << 20 | round
                            };
                            assert_eq!(
                                log.iter().filter(mine).count(),
                                1,
                                "complete but not executed"
                            );
                        }
                        Err(error) => assert_eq!(
                            error,
                            SecondaryError::DeviceTimeout {
                                device: dying.unwrap()
                            }
                        ),
                    }
                }
            });
        }
    });
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_05_many_cpus_at_once_lose_nothing() {
    for log2 in [3, 4, 8] {
        run(log2, None);
    }
}

#[test]
fn promise_06_a_dying_device_stops_nobody() {
    for log2 in [4, 8] {
        run(log2, Some(2));
    }
}
