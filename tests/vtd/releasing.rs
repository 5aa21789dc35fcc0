//! The order in which an address space ends (6.5.3.3).

use crate::fake::{Bench, turns, word};
use crate::flushing::finish;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::SecondaryTlb;

const PASID_CACHE: [u64; 2] = [0x0000_0123_0001_0017, 0];
const IOTLB: [u64; 2] = [0x0000_0123_0001_0026, 0];
const DEVICE: [u64; 2] = [0x0000_0123_0208_0048, 0x7fff_ffff_ffff_f800];

/// The first word of PASID 0x123: entries begin behind the directory's page.
fn control(pasids: u64) -> u64 {
    word(pasids + 0x1000, 0x123 * 8)
}

#[test]
fn promise_10_p_is_cleared_then_caches_are_invalidated_then_the_entry_is_emptied() {
    let bench = Bench::usual();
    let pasids = bench.add_device(0x0208, true);
    let key = bench.attach(&[(0x0208, Some(0x123))]);
    let mut cost = Cost::ZERO;
    bench.fake.inner().stalled = true;
    bench.vtd.release(key, &mut cost).unwrap();
    // P is gone and FPD set before anything is invalidated; the rest stays.
    assert_eq!(control(pasids), 0x4a);
    assert_eq!(word(pasids + 0x1000, 0x123 * 8 + 1), 0x80_0001);
    bench.fake.inner().stalled = false;
    let fence = bench.vtd.seal(&mut cost);
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 2, 1));
    let expected = [PASID_CACHE, [0x65, 0], IOTLB, DEVICE, [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
    bench.vtd.detach(key, &mut turns(&bench.lock, 10)).unwrap();
    let expected = [PASID_CACHE, [0x65, 0], IOTLB, [0x25, 0], DEVICE, [0x25, 0]];
    assert_eq!(bench.fake.take_log(), expected);
    assert_eq!(control(pasids), 0x2);
    assert_eq!(word(pasids + 0x1000, 0x123 * 8 + 1), 0);
    assert_eq!(word(pasids + 0x1000, 0x123 * 8 + 2), 0);
    // The next owner's entry is whole again.
    bench.attach(&[(0x0208, Some(0x123))]);
    assert_eq!(control(pasids), 0x49);
}
