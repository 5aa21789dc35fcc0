//! The buffer at its limits: it waits, makes progress, and no lock is held meanwhile.

use crate::fake::{Bench, Pace, turns};
use crate::flushing::{pages, poll_for, shoot, space};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::amd::AttachError;
use tlb_shootdown::secondary::{Full, SecondaryTlb};

/// 255 of 256 entries can be used; each of these takes two of them and one of their device.
#[test]
fn promise_05_a_full_buffer_takes_no_more_and_forgets_nothing() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 1)]);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    let mut fences = Vec::new();
    for page in 0.. {
        let invalidation = space(key, pages(page << 12, (page + 1) << 12));
        if bench.iommu.queue(&invalidation, &mut cost) == Err(Full) {
            break;
        }
        fences.push(bench.iommu.seal(&mut cost));
        assert!(page < 256, "the buffer is full at some time");
    }
    assert!(fences.len() >= 80);
    // With nothing open, a seal writes nothing and names the last.
    let before = cost;
    assert_eq!(
        bench.iommu.seal(&mut cost).sequence,
        fences.last().unwrap().sequence
    );
    assert_eq!(cost, before);
    // Set-up waits for room as well, with the lock open.
    let wait = &mut turns(&bench.lock, 20);
    let detached = bench.iommu.detach(key, wait);
    assert_eq!(detached, Err(AttachError::Timeout(Some(key))));
    bench.fake.pace(Pace::AtRead(1));
    for fence in &mut fences {
        assert_eq!(
            poll_for(&bench, fence, &mut cost, 2000),
            Poll::Ready(Ok(()))
        );
    }
    let log = bench.fake.take_invalidations();
    for page in 0..fences.len() as u64 {
        for opcode in [3, 4] {
            let mine = |w: &&[u64; 2]| w[0] >> 60 == opcode && w[1] >> 12 == page;
            assert_eq!(log.iter().filter(mine).count(), 1, "page {page}");
        }
    }
    bench.detach(key);
    bench.fake.assert_rules_kept();
}

/// What was queued and not sealed by anybody does not keep others from making progress.
#[test]
fn promise_05_who_gave_up_blocks_nobody() {
    let bench = Bench::usual();
    bench.add_device(0x10, Some(32));
    let key = bench.attach(&[(0x10, 1)]);
    let mut cost = Cost::ZERO;
    let all = |page: u64| space(key, pages(page << 12, (page + 1) << 12));
    let queued = (0..).take_while(|&page| bench.iommu.queue(&all(page), &mut cost).is_ok());
    assert!(queued.count() >= 80);
    let mut open = bench.iommu.seal(&mut cost);
    assert_eq!(
        poll_for(&bench, &mut open, &mut cost, 10),
        Poll::Ready(Ok(()))
    );
    assert_eq!(bench.iommu.queue(&all(0), &mut cost), Ok(()));
}

/// Many laps: positions grow, pointers wrap, completions are compared as positions.
#[test]
fn laps() {
    for unwrapped in [false, true] {
        let bench = Bench::usual();
        bench.fake.inner().unwrapped_head = unwrapped;
        bench.add_device(0x10, Some(32));
        let key = bench.attach(&[(0x10, 1)]);
        for page in 0..1000 {
            let flush = pages(page << 12, (page + 1) << 12);
            assert_eq!(shoot(&bench, &space(key, flush)).0, Ok(()));
        }
        bench.fake.assert_rules_kept();
    }
}

/// A request that is too large in two blocks for so many devices is taken as one of everything.
#[test]
fn promise_11_what_never_fits_is_widened_and_counted() {
    let bench = Bench::usual();
    let contexts: Vec<_> = (0..64).map(|id| (id, 1)).collect();
    for &(id, _) in &contexts {
        bench.add_device(id, Some(32));
    }
    let key = bench.attach(&contexts);
    let (result, cost) = shoot(&bench, &space(key, pages(0x1000, 0x2000)));
    assert_eq!((result, cost.commands, cost.escalations), (Ok(()), 128, 0));
    let (result, cost) = shoot(&bench, &space(key, pages(0x7000, 0x9000)));
    assert_eq!((result, cost.commands, cost.escalations), (Ok(()), 128, 1));
    let all = |w: &[u64; 2]| w[1] >> 12 == 0x7_ffff_ffff_ffff;
    let whole = bench.fake.take_invalidations().into_iter().filter(all);
    assert_eq!(whole.count(), 128);
    bench.fake.assert_rules_kept();
}
