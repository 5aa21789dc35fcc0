//! Many threads submit at once, with a device that dies under them.

use crate::fake::{Bench, Pace};
use crate::flushing::{pages, space};
use crate::shoot::shoot;
use tlb_shootdown::secondary::SecondaryError;

const THREADS: u16 = 4;
const ROUNDS: u64 = 200;

fn run(dying: Option<u16>, illegal: u32) {
    let bench = Bench::usual();
    let keys: Vec<_> = (0..THREADS)
        .map(|id| {
            bench.add_device(id, Some(32));
            bench.attach(&[(id, u32::from(id) + 1)])
        })
        .collect();
    bench.fake.pace(Pace::AtRead(3));
    std::thread::scope(|scope| {
        for (id, &key) in (0..).zip(&keys) {
            let bench = &bench;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if dying == Some(id) && round == ROUNDS / 2 {
                        bench.fake.inner().dead.insert(id);
                    }
                    if id == 0 && round == ROUNDS / 2 {
                        bench.fake.inner().illegal = vec![(3, illegal)];
                    }
                    let page = u64::from(id) << 20 | round;
                    let flush = pages(page << 12, (page + 1) << 12);
                    match shoot(bench.iommu, &space(key, flush)) {
                        Ok(()) => check(bench, id, page, dying, illegal),
                        Err(error) => assert_eq!(
                            error,
                            SecondaryError::DeviceTimeout {
                                device: u32::from(dying.unwrap())
                            }
                        ),
                    }
                }
            });
        }
    });
    bench.fake.assert_rules_kept();
}

/// What has completed was executed: at the IOMMU, and then at the device.
fn check(bench: &Bench, id: u16, page: u64, dying: Option<u16>, illegal: u32) {
    let log = &bench.fake.inner().log;
    let find = |opcode: u64| {
        let mine = |w: &[u64; 2]| w[0] >> 60 == opcode && w[1] >> 12 == page;
        log.iter().position(mine)
    };
    let device = find(4);
    if dying != Some(id) {
        assert!(device.is_some(), "the device's TLB was not asked");
    }
    match find(3) {
        Some(pages) => assert!(device.is_none_or(|device| pages < device)),
        None => assert!(
            illegal > 0 && log.iter().any(|w| w[0] >> 60 == 8),
            "complete but not executed"
        ),
    }
}

#[test]
fn promise_05_many_cpus_at_once_lose_nothing() {
    run(None, 0);
}

#[test]
fn promise_05_many_cpus_survive_refused_commands() {
    run(None, 5);
}

#[test]
fn promise_06_a_dying_device_stops_nobody() {
    run(Some(2), 0);
}
