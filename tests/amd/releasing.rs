//! Release and detach: afterwards no device walks the address space.

use crate::fake::{Bench, Pace, turns, words};
use crate::flushing::poll_for;
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::AttachError;
use tlb_shootdown::secondary::SecondaryTlb;

const ALL: u64 = 0x7fff_ffff_ffff_f000;

#[test]
fn promise_10_released_a_process_is_walked_by_nobody() {
    let bench = Bench::usual();
    let gcr3 = bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 5)]);
    assert_eq!(words(gcr3, 5), [0x4_5678_9001]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    bench.iommu.release(key, &mut cost).unwrap();
    assert_eq!(words(gcr3, 5), [0], "at once");
    let mut fence = bench.iommu.seal(&mut cost);
    assert_eq!(poll_for(&bench, &mut fence, &mut cost, 3), Poll::Pending);
    bench.fake.pace(Pace::AtRead(1));
    assert_eq!(
        poll_for(&bench, &mut fence, &mut cost, 50),
        Poll::Ready(Ok(()))
    );
    assert_eq!(
        bench.fake.take_invalidations(),
        [
            [0x3000_0001_0000_0005, ALL | 7],
            [0x4005_0010_2000_0010, ALL | 5]
        ]
    );
    // Again, as an exit that races with a detach does it.
    assert_eq!(bench.iommu.release(key, &mut cost), Ok(()));
    let wait = &mut turns(&bench.lock, 100);
    assert_eq!(bench.iommu.install(key, wait), Err(AttachError::Released));
    assert_eq!(words(gcr3, 5), [0]);
    bench.fake.assert_rules_kept();
}

/// The entry that leads to the tables goes first, what the IOMMU has cached of them then, and devices' TLBs last: three waits.
#[test]
fn promise_10_released_a_host_table_is_walked_by_nobody() {
    let bench = Bench::usual();
    bench.add_host_device(0x10, Some(32));
    bench.add_host_device(0x11, None);
    let key = bench.attach_host(&[0x10, 0x11]);
    assert_eq!(bench.entry(0x10)[0], 0x6000_0001_2345_6603);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    bench.iommu.release(key, &mut cost).unwrap();
    for id in [0x10, 0x11] {
        assert_eq!(bench.entry(id)[0], 3, "refused at once");
    }
    let mut fence = bench.iommu.seal(&mut cost);
    let steps: [(u32, &[[u64; 2]]); 3] = [
        (3, &[[0x2000_0000_0000_0010, 0], [0x2000_0000_0000_0011, 0]]),
        (2, &[[0x3000_0001_0000_0000, ALL | 3]]),
        (2, &[[0x4000_0010_2000_0010, ALL | 1]]),
    ];
    for (commands, expected) in steps {
        assert_eq!(poll_for(&bench, &mut fence, &mut cost, 3), Poll::Pending);
        bench.fake.run(100);
        assert_eq!(bench.fake.inner().log.len(), commands as usize);
        assert_eq!(bench.fake.take_invalidations(), expected);
    }
    assert_eq!(
        poll_for(&bench, &mut fence, &mut cost, 3),
        Poll::Ready(Ok(()))
    );
    assert_eq!([cost.commands, cost.syncs, cost.doorbells], [4, 3, 3]);
    bench.fake.assert_rules_kept();
}

#[test]
fn promise_07_a_detached_context_is_clean_for_the_next() {
    let bench = Bench::usual();
    let gcr3 = bench.add_device(0x10, Some(32));
    let first = bench.attach(&[(0x10, 5)]);
    bench.fake.pace(Pace::AtRead(2));
    bench.detach(first);
    assert_eq!(
        bench.fake.take_invalidations(),
        [
            [0x3000_0001_0000_0005, ALL | 7],
            [0x4005_0010_2000_0010, ALL | 5]
        ]
    );
    bench.detach(first);
    assert_eq!(
        bench.fake.take_invalidations(),
        [[0; 2]; 0],
        "the key names nothing"
    );
    let second = bench.attach(&[(0x10, 5)]);
    assert_ne!(first, second);
    assert_eq!(words(gcr3, 5), [0x4_5678_9001]);
}
