//! Full rings, small rings, and rings that have gone round many times.

use crate::fake::{Bench, Ids, Pace};
use crate::flushing::{fill_up, finish, pages, space, start};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::Config;
use tlb_shootdown::secondary::{AttachKey, Full, SecondaryTlb};

fn bench(log2: u32, ats: Option<u8>) -> (Bench, AttachKey) {
    let bench = Bench::new(Ids::usual(), log2, Config::new());
    bench.add_stream(1, ats);
    let key = bench.attach(&[(1, Some(1))]);
    (bench, key)
}

#[test]
fn promise_05_full_ring_loses_nothing() {
    for ats in [None, Some(12)] {
        for log2 in 3..=5 {
            let (bench, key) = bench(log2, ats);
            bench.fake.pace(Pace::Stalled);
            let mut fences = Vec::new();
            let mut sent = 0u64;
            for _ in 0..200 {
                let mut cost = Cost::ZERO;
                let flush = pages(sent << 12, (sent + 1) << 12);
                while bench.smmu.queue(&space(key, flush), &mut cost) == Err(Full) {
                    // What the engine does: close what is open, look at what is under way, try again.
                    fences.push(bench.smmu.seal(&mut cost));
                    let running = bench.fake.inner().log.len();
                    bench.fake.inner().run(1);
                    assert!(bench.fake.inner().log.len() > running, "no progress");
                }
                sent += 1;
                if sent.is_multiple_of(3) {
                    fences.push(bench.smmu.seal(&mut cost));
                }
            }
            fences.push(bench.smmu.seal(&mut Cost::default()));
            bench.fake.pace(Pace::AtRead(1));
            for fence in fences {
                assert_eq!(finish(&bench, fence), Ok(()));
            }
            let log = bench.fake.take_log();
            for opcode in [0x12, 0x40] {
                let addresses = log
                    .iter()
                    .filter(|w| w[0] as u8 == opcode)
                    .map(|w| w[1] >> 12);
                let mut addresses: Vec<_> = addresses.collect();
                // ATC_INVs of one seal are unordered.
                addresses.sort_unstable();
                if opcode == 0x12 || ats.is_some() {
                    assert_eq!(addresses, (0..200).collect::<Vec<_>>(), "{log2} {ats:?}");
                }
            }
            bench.fake.assert_rules_kept();
        }
    }
}

/// Every entry is used: 7 commands and the CMD_SYNC in a ring of 8. CMDQ_CONS is read where there seems to be no room, and not before.
#[test]
fn all_entries_are_usable() {
    let (bench, key) = bench(3, None);
    bench.fake.pace(Pace::Stalled);
    let mut cost = Cost::ZERO;
    let reads = bench.fake.inner().cons_reads;
    let queued = (0..20).take_while(|_| {
        bench
            .smmu
            .queue(&space(key, pages(0, 0x1000)), &mut cost)
            .is_ok()
    });
    assert_eq!(queued.count(), 7);
    assert_eq!(bench.fake.inner().cons_reads - reads, 1, "for the eighth");
    let fence = bench.smmu.seal(&mut cost);
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (7, 1, 1));
    assert_eq!(
        bench.smmu.queue(&space(key, Flush::all()), &mut cost),
        Err(Full)
    );
    bench.fake.pace(Pace::AtRead(8));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(
        bench.smmu.queue(&space(key, Flush::all()), &mut cost),
        Ok(())
    );
}

#[test]
fn a_full_ring_leaves_its_caller_with_a_bill_for_nothing() {
    let (bench, key) = bench(3, Some(12));
    bench.fake.pace(Pace::Stalled);
    start(&bench, key, pages(0, 0x1000));
    let mut cost = Cost::ZERO;
    let wide = space(key, pages(0x7fff_ffff_f000, 0x8000_0000_1000));
    fill_up(&bench, &wide, &mut cost);
    let before = cost;
    assert_eq!(bench.smmu.queue(&wide, &mut cost), Err(Full));
    assert_eq!(cost, before);
}

#[test]
fn promise_05_a_request_larger_than_the_ring_becomes_the_space() {
    let bench = Bench::new(Ids::usual().without_ranges(), 3, Config::new());
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    let (fence, cost) = start(&bench, key, pages(0, 100 << 12));
    assert_eq!((cost.commands, cost.escalations), (1, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
}

#[test]
fn the_ring_goes_round_at_every_size() {
    for log2 in 3..=10 {
        let (bench, key) = bench(log2, Some(12));
        for n in 0..2000u64 {
            let (fence, _) = start(&bench, key, pages(n << 12, (n + 1) << 12));
            assert_eq!(finish(&bench, fence), Ok(()));
        }
        assert_eq!(bench.fake.take_log().len(), 8000);
        bench.fake.assert_rules_kept();
    }
}

/// With PROD = 0x0ff, a submission of two: PROD goes to 0x101 (IHI 0070 3.5.1; the wrap bit is bit 8).
#[test]
fn the_wrap_bit_is_the_one_above_the_index() {
    let (bench, key) = bench(8, None);
    // Bring-up, stream and context took 8 entries; this makes the number odd.
    let mut cost = Cost::ZERO;
    let one = space(key, pages(0, 0x1000));
    bench.smmu.queue(&one, &mut cost).unwrap();
    for producer in (0x0b..=0x101).step_by(2) {
        start(&bench, key, pages(0, 0x1000));
        assert_eq!(bench.fake.inner().register(0x98), producer);
    }
    bench.fake.assert_rules_kept();
}

/// A request that needs more than half the ring would starve behind small ones.
#[test]
fn a_request_takes_half_the_ring_at_most() {
    let bench = Bench::new(Ids::usual().without_ranges(), 5, Config::new());
    bench.add_stream(1, None);
    let key = bench.attach(&[(1, None)]);
    let (_, half) = start(&bench, key, pages(0, 16 << 12));
    assert_eq!((half.commands, half.escalations), (16, 0));
    let (_, more) = start(&bench, key, pages(0, 17 << 12));
    assert_eq!((more.commands, more.escalations), (1, 1));
}

/// Two pages around the middle of the addresses, which no block holds that is not everything: two blocks for a device TLB.
const STRADDLING: (u64, u64) = (0x7fff_ffff_f000, 0x8000_0000_1000);

/// Four commands and two device TLBs fill a ring of 8 with their two CMD_SYNCs. With two blocks for each device the addresses
/// become the space, because nothing less would ever fit.
#[test]
fn promise_11_what_fits_an_empty_ring_is_not_widened_and_what_never_fits_is() {
    let bench = Bench::new(Ids::usual().without_ranges(), 3, Config::new());
    bench.add_stream(1, Some(12));
    bench.add_stream(2, Some(12));
    let key = bench.attach(&[(1, Some(1)), (2, Some(1))]);
    let (fence, fits) = start(&bench, key, pages(0, 4 << 12));
    assert_eq!((fits.commands, fits.syncs, fits.escalations), (6, 2, 0));
    assert_eq!(finish(&bench, fence), Ok(()));
    let (first, end) = STRADDLING;
    let (fence, wide) = start(&bench, key, pages(first - 0x1000, end + 0x1000));
    assert_eq!((wide.commands, wide.syncs, wide.escalations), (5, 2, 1));
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.fake.assert_rules_kept();
}

/// 64 places for the ATC_INVs of a seal: two blocks for each of 32 contexts have theirs. For 33 contexts both the addresses and
/// the blocks become everything.
#[test]
fn promise_11_more_blocks_than_places_become_everything_and_are_counted() {
    let bench = Bench::new(Ids::usual(), 8, Config::new());
    let contexts: Vec<_> = (0..33).map(|n| (n / 7, Some(n % 7 + 1))).collect();
    for sid in 0..5 {
        bench.add_stream(sid, Some(12));
    }
    let flush = pages(STRADDLING.0, STRADDLING.1);
    let key = bench.attach(&contexts[..32]);
    let (fence, fits) = start(&bench, key, flush);
    assert_eq!((fits.commands, fits.escalations), (1 + 64, 0));
    assert_eq!(finish(&bench, fence), Ok(()));
    bench.detach(key);
    let key = bench.attach(&contexts);
    let (fence, wide) = start(&bench, key, flush);
    assert_eq!((wide.commands, wide.escalations), (1 + 33, 2));
    assert_eq!(finish(&bench, fence), Ok(()));
    let everything = |w: &[u64; 2]| w[0] as u8 != 0x40 || w[1] == 52;
    assert!(bench.fake.take_log().iter().all(everything));
    bench.fake.assert_rules_kept();
}

/// 64 places for the ATC_INVs of a seal: the next one waits for it, although the ring has room. Who needs none does not.
#[test]
fn promise_05_no_more_device_tlbs_than_places_wait_for_a_seal() {
    let (bench, key) = bench(8, Some(12));
    bench.add_stream(2, None);
    let other = bench.attach(&[(2, Some(1))]);
    let mut cost = Cost::ZERO;
    let one = space(key, pages(0, 0x1000));
    for _ in 0..64 {
        assert_eq!(bench.smmu.queue(&one, &mut cost), Ok(()));
    }
    assert_eq!(bench.smmu.queue(&one, &mut cost), Err(Full));
    let without = space(other, pages(0, 0x1000));
    assert_eq!(bench.smmu.queue(&without, &mut cost), Ok(()));
    let fence = bench.smmu.seal(&mut cost);
    assert_eq!((cost.commands, cost.syncs), (64 + 1 + 64, 2));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(bench.smmu.queue(&one, &mut cost), Ok(()));
}
