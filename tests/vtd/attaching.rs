//! An attach at a nearly full ring: it needs the room of what it puts there, not one entry more and not one less.

use crate::fake::{Bench, IQT, turns};
use crate::flushing::{pages, space};
use crate::legacy;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::AttachError;
use tlb_shootdown::secondary::{AttachKey, Full, SecondaryTlb};

/// SW and FN: what follows is held back until it is done.
const FENCE: [u64; 2] = [0x65, 0];
/// SW alone: the last one.
const WAIT: [u64; 2] = [0x25, 0];

type Named = (u16, Option<u32>);

/// A unit, and one address space of it whose flushes fill the ring.
struct Ring {
    bench: Bench,
    filler: AttachKey,
    /// The first word of the filler's flush of one page.
    flush: u64,
    /// Bytes of an entry.
    width: u64,
}

impl Ring {
    fn scalable() -> Self {
        let bench = Bench::usual();
        bench.add_device(0x0200, false);
        bench.add_device(0x0208, true);
        bench.add_device(0x0210, true);
        Self {
            filler: bench.attach(&[(0x0200, Some(0x1))]),
            bench,
            flush: 0x0000_0001_0001_0036,
            width: 32,
        }
    }

    fn legacy() -> Self {
        let bench = legacy::bench();
        bench.add_legacy_device(0x0200, false);
        for sid in [0x0208, 0x0210, 0x0218] {
            bench.add_legacy_device(sid, true);
        }
        Self {
            filler: bench.attach(&[(0x0200, None)]),
            bench,
            flush: 0x0002_00f2,
            width: 16,
        }
    }

    /// Leaves so many entries free with sealed flushes, each of a page of its own; gives what the unit is to find in the others.
    fn fill_all_but(&self, free: u64) -> Vec<[u64; 2]> {
        let vtd = &self.bench.vtd;
        let mut cost = Cost::ZERO;
        // 4 KiB of entries less the gap.
        let taken = 0x1000 / self.width - 1 - free;
        let mut found = Vec::new();
        for at in 1..taken {
            let flush = pages(at << 12, (at + 1) << 12);
            vtd.queue(&space(self.filler, flush), &mut cost).unwrap();
            found.push([self.flush, at << 12]);
        }
        vtd.seal(&mut cost);
        found.push(WAIT);
        found
    }

    /// By how many entries the tail has moved on from there.
    fn put_since(&self, tail: u64) -> u64 {
        (self.tail().wrapping_sub(tail) % 0x1000) / self.width
    }

    fn tail(&self) -> u64 {
        self.bench.fake.inner().get(IQT)
    }
}

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
