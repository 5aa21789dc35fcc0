//! An attach at a nearly full ring: it needs the room of what it puts there, not one entry more and not one less.

use crate::fake::{Bench, turns};
use crate::flushing::{pages, space};
use crate::ring::{FENCE, Ring, WAIT};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::AttachError;
use tlb_shootdown::secondary::{Full, SecondaryTlb};

type Named = (u16, Option<u32>);

/// An attach in a ring that stands still, with that many entries free; then the ring runs.
fn attach_with(free: u64, ring: Ring, contexts: &[Named], puts: &[[u64; 2]]) {
    let Bench { fake, vtd, lock } = &ring.bench;
    let key = ring.bench.reserve(contexts);
    let install = || vtd.install(key, &mut turns(lock, 10));
    fake.inner().stalled = true;
    let mut found = ring.fill_all_but(free);
    let tail = ring.tail();
    // For room or for its end: it waits.
    assert_eq!(install(), Err(AttachError::Timeout(Some(key))));
    let needed = puts.len() as u64;
    if free < needed {
        assert_eq!(ring.put_since(tail), 0, "{needed} in {free}");
    } else {
        assert_eq!(ring.put_since(tail), needed, "{needed} in {free}");
        found.extend(puts);
    }
    if free == needed {
        let more = space(ring.filler, pages(0, 0x1000));
        assert_eq!(vtd.queue(&more, &mut Cost::default()), Err(Full));
    }
    fake.inner().stalled = false;
    fake.inner().run(u32::MAX);
    assert_eq!(fake.take_log(), found, "nothing was written over");
    assert_eq!(install(), Ok(()));
    assert_eq!(fake.take_log(), puts);
    fake.assert_rules_kept();
}

/// One less than what it puts, and exactly that.
fn needs_exactly(ring: fn() -> Ring, contexts: &[Named], puts: &[[u64; 2]]) {
    let needed = puts.len() as u64;
    for free in [needed - 1, needed] {
        attach_with(free, ring(), contexts, puts);
    }
}

/// PASID cache and IOTLB for each tag, a fence between them, and the wait (6.5.3.3; QEMU `VTD_INV_DESC_PASIDC`, `_PIOTLB`).
#[test]
fn promise_05_an_attach_in_scalable_mode_takes_two_entries_for_each_tag_and_two() {
    let one = [
        [0x0000_0123_0001_0017, 0],
        FENCE,
        [0x0000_0123_0001_0026, 0],
        WAIT,
    ];
    needs_exactly(Ring::scalable, &[(0x0208, Some(0x123))], &one);
    // Two devices share the first tag. Requests without PASID have a domain for each address space.
    let contexts = [
        (0x0208, Some(0x123)),
        (0x0210, Some(0x123)),
        (0x0208, Some(0x45)),
        (0x0210, None),
    ];
    let three = [
        [0x0000_0123_0001_0017, 0],
        [0x0000_0045_0001_0017, 0],
        [0x0000_0000_0003_0017, 0],
        FENCE,
        [0x0000_0123_0001_0026, 0],
        [0x0000_0045_0001_0026, 0],
        [0x0000_0000_0003_0026, 0],
        WAIT,
    ];
    needs_exactly(Ring::scalable, &contexts, &three);
}

/// The context cache for each device, a fence, the domain's IOTLB once, and the wait (Linux `domain_context_mapping_one`).
#[test]
fn promise_05_an_attach_in_legacy_mode_takes_an_entry_for_each_device_and_three() {
    let one = [[0x0000_0208_0000_0031, 0], FENCE, [0x0003_00e2, 0], WAIT];
    needs_exactly(Ring::legacy, &[(0x0208, None)], &one);
    let three = [
        [0x0000_0208_0000_0031, 0],
        [0x0000_0210_0000_0031, 0],
        [0x0000_0218_0000_0031, 0],
        FENCE,
        [0x0003_00e2, 0],
        WAIT,
    ];
    let contexts = [(0x0208, None), (0x0210, None), (0x0218, None)];
    needs_exactly(Ring::legacy, &contexts, &three);
}
