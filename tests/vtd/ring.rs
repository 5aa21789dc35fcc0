//! A unit whose ring stands still, with so many entries free.

use crate::fake::{Bench, CAP, ECAP, IQT};
use crate::flushing::{pages, space};
use crate::legacy;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::vtd::Config;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};

/// SW and FN: what follows is held back until it is done.
pub(crate) const FENCE: [u64; 2] = [0x65, 0];
/// SW alone: the last one.
pub(crate) const WAIT: [u64; 2] = [0x25, 0];

/// A unit, and one address space of it whose flushes fill the ring.
pub(crate) struct Ring {
    pub(crate) bench: Bench,
    pub(crate) filler: AttachKey,
    /// The first word of the filler's flush of one page.
    flush: u64,
    /// Bytes of an entry.
    width: u64,
}

impl Ring {
    pub(crate) fn scalable() -> Self {
        Self::scalable_as(Config::new())
    }

    pub(crate) fn scalable_as(config: Config) -> Self {
        let bench = Bench::new(CAP, ECAP, config);
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

    pub(crate) fn legacy() -> Self {
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
    pub(crate) fn fill_all_but(&self, free: u64) -> Vec<[u64; 2]> {
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
    pub(crate) fn put_since(&self, tail: u64) -> u64 {
        (self.tail().wrapping_sub(tail) % 0x1000) / self.width
    }

    pub(crate) fn tail(&self) -> u64 {
        self.bench.fake.inner().get(IQT)
    }
}
