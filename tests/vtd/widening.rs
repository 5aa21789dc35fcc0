//! What could never fit is widened, and counted; whatever fits just so is not.

use crate::fake::{Bench, CAP, ECAP};
use crate::flushing::{finish, pages, start};
use crate::legacy::{LEGACY_CAP, LEGACY_ECAP, legacy};
use tlb_shootdown::iommu::vtd::Config;

/// MAMV = 0: a block for each page.
const SINGLE: u64 = CAP & !(0x3f << 48);

/// A flush of four pages of an address space with so many PASIDs, the last of them in a device with a TLB; gives the descriptors of
/// its PASIDs, those of the device TLB, and the requests that were widened.
fn four_pages(config: Config, pasids: u32, of_device_tlb: u32) -> (usize, usize, u32) {
    let bench = Bench::new(SINGLE, ECAP, config);
    bench.add_device(0x0200, false);
    bench.add_device(0x0208, true);
    let contexts = (1..=pasids).map(|pasid| match pasid > pasids - of_device_tlb {
        false => (0x0200, Some(pasid)),
        true => (0x0208, Some(pasid)),
    });
    let key = bench.attach(&contexts.collect::<Vec<_>>());
    let (fence, cost) = start(&bench, key, pages(0, 0x4000));
    assert_eq!(finish(&bench, fence), Ok(()));
    let log = bench.fake.take_log();
    let of = |kind| log.iter().filter(|words| words[0] & 0xf == kind).count();
    // Of four pages in the device, whatever became of them in the unit.
    let block = |words: &&[u64; 2]| words[0] & 0xf != 8 || words[1] == 0x1800;
    assert_eq!(log.iter().find(|words| !block(words)), None);
    bench.fake.assert_rules_kept();
    (of(6), of(8), cost.escalations)
}

/// One page of descriptors of 32 bytes, less the gap: 127. Four for each PASID, the device TLBs, and the wait.
#[test]
fn promise_11_what_an_empty_ring_cannot_hold_is_widened_and_no_less() {
    let config = Config::new();
    assert_eq!(four_pages(config, 31, 0), (124, 0, 0));
    assert_eq!(four_pages(config, 31, 2), (124, 2, 0), "all of it");
    assert_eq!(four_pages(config, 31, 3), (31, 3, 1), "one too many");
    assert_eq!(four_pages(config, 32, 0), (32, 0, 1));
}

#[test]
fn promise_11_the_fence_before_device_tlbs_counts_where_there_are_any() {
    let careful = Config {
        wait_before_device_tlbs: true,
        ..Config::new()
    };
    assert_eq!(four_pages(careful, 31, 0), (124, 0, 0));
    assert_eq!(four_pages(careful, 31, 1), (124, 1, 0), "all of it");
    assert_eq!(four_pages(careful, 31, 2), (31, 2, 1), "one too many");
}

/// Four places for what device TLBs are to be told, and two blocks for each: the third device makes it everything.
#[test]
fn promise_11_more_than_the_places_for_device_tlbs_is_widened_and_counted() {
    let of = |devices: u16| {
        let bench: Bench<8, 4> = Bench::sized(CAP, ECAP, Config::new());
        for n in 0..devices {
            bench.add_device(0x0208 + n, true);
        }
        let contexts: Vec<_> = (0..devices).map(|n| (0x0208 + n, Some(0x123))).collect();
        let key = bench.attach(&contexts);
        let (fence, cost) = start(&bench, key, pages(0x3000, 0x5000));
        assert_eq!(finish(&bench, fence), Ok(()));
        (bench.fake.take_log(), cost.escalations)
    };
    const W0: u64 = 0x0000_0123_0000_0048;
    let (log, escalations) = of(2);
    let expected = [
        [0x0000_0123_0001_0036, 0x3000],
        [0x0000_0123_0001_0036, 0x4000],
        [W0 | 0x0209 << 16, 0x4000],
        [W0 | 0x0209 << 16, 0x3000],
        [W0 | 0x0208 << 16, 0x4000],
        [W0 | 0x0208 << 16, 0x3000],
        [0x25, 0],
    ];
    assert_eq!((log.as_slice(), escalations), (expected.as_slice(), 0));
    const ALL: u64 = 0x7fff_ffff_ffff_f800;
    let (log, escalations) = of(3);
    let expected = [
        [0x0000_0123_0001_0026, 0],
        [W0 | 0x020a << 16, ALL],
        [W0 | 0x0209 << 16, ALL],
        [W0 | 0x0208 << 16, ALL],
        [0x25, 0],
    ];
    // In the unit, and in the devices.
    assert_eq!((log.as_slice(), escalations), (expected.as_slice(), 2));
}

/// Without CAP.PSI the unit's part is the whole domain from the start: once more for the devices, and no more.
#[test]
fn promise_11_what_is_wide_already_is_not_counted_twice() {
    let cap = LEGACY_CAP & !(1 << 39);
    let bench: Bench<8, 4> = Bench::sized(cap, LEGACY_ECAP, legacy());
    let devices = [0x0208, 0x0209, 0x020a];
    for sid in devices {
        bench.add_legacy_device(sid, true);
    }
    let key = bench.attach(&devices.map(|sid| (sid, None)));
    let (fence, cost) = start(&bench, key, pages(0x3000, 0x5000));
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!((cost.commands, cost.escalations), (4, 2));
}
