//! Many threads submit at once, with a device that dies under them.

use crate::fake::{Bench, Ids, Pace};
use crate::flushing::{pages, space};
use crate::shoot::shoot;
use tlb_shootdown::iommu::smmuv3::Config;
use tlb_shootdown::secondary::SecondaryError;

const THREADS: u32 = 4;
const ROUNDS: u64 = 200;

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
                    let page = u64::from(sid) << 20 | round;
                    let flush = pages(page << 12, (page + 1) << 12);
                    let result = shoot(bench.smmu, &space(key, flush));
                    match result {
                        Ok(()) => {
                            let log = &bench.fake.inner().log;
                            let mine = |w: &&[u64; 2]| w[0] as u8 == 0x12 && w[1] >> 12 == page;
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
