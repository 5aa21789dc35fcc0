//! What is taken is what fits, to the entry: its commands, its device TLBs, and the seal that must follow. One entry less would overrun
//! the ring, one more would be refused for nothing. Counted is what the driver really writes, by CMDQ_PROD.

use crate::fake::{Bench, Ids, Pace, context, translation, turns};
use crate::flushing::{finish, pages, space, start};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::{Asid, AsidSource, AttachError, Config, TranslationConfig};
use tlb_shootdown::secondary::{AttachKey, Full, Invalidation, SecondaryTlb};

/// A ring, and the address spaces that are flushed.
struct Ring {
    bench: Bench,
    entries: u32,
    /// One context of a device without a TLB.
    plain: AttachKey,
    /// One context of a device with one.
    cached: AttachKey,
    /// One context of each of three devices, two of them with a TLB.
    many: AttachKey,
    /// As `cached`, but the CPUs' broadcasts reach the SMMU's TLB.
    shared: AttachKey,
}

type Operation = fn(&Ring) -> Result<(), Full>;

impl Ring {
    fn new(iidr: u32, log2: u32, repeat_invalidations: bool) -> Self {
        let usual = Ids::usual().without_ranges();
        let ids = Ids {
            idr0: usual.idr0 | 1 << 5,
            iidr,
            ..usual
        };
        let config = Config {
            repeat_invalidations,
            broadcast: iidr == 0,
            kernel_tables: true,
            ..Config::new()
        };
        let bench = Bench::new(ids, log2, config);
        for (sid, ats) in [(1, None), (2, Some(12)), (3, Some(12))] {
            bench.add_stream(sid, ats);
        }
        let plain = bench.attach(&[(1, Some(1))]);
        let cached = bench.attach(&[(2, Some(1))]);
        let many = bench.attach(&[1, 2, 3].map(|sid| (sid, Some(2))));
        let of_cpus = TranslationConfig {
            asid: AsidSource::Shared(Asid(0x77)),
            ..translation()
        };
        let shared = if config.broadcast {
            let to = [context(2, Some(3))];
            let mut wait = turns(&bench.lock, 10);
            bench.smmu.attach(&to, &of_cpus, &mut wait).unwrap()
        } else {
            cached
        };
        bench.fake.pace(Pace::Stalled);
        Self {
            entries: 1 << log2,
            plain,
            cached,
            many,
            shared,
            bench,
        }
    }

    fn queue(&self, invalidation: Invalidation) -> Result<(), Full> {
        self.bench.smmu.queue(&invalidation, &mut Cost::default())
    }

    /// The entries that are written meanwhile.
    fn written_by(&self, f: impl FnOnce()) -> u32 {
        let producer = || self.bench.fake.inner().register(0x98);
        let before = producer();
        f();
        producer().wrapping_sub(before) & (2 * self.entries - 1)
    }

    /// Seals, and lets the SMMU run to the end.
    fn finish(&self) {
        let fence = self.bench.smmu.seal(&mut Cost::default());
        self.bench.fake.inner().run(u32::MAX);
        assert_eq!(finish(&self.bench, fence), Ok(()));
        self.bench.fake.assert_rules_kept();
    }

    /// Leaves so many entries free, with nothing open.
    fn leave(&self, free: u32) {
        self.finish();
        let mut outstanding = 0;
        while outstanding + free < self.entries {
            let page = pages(0, 0x1000);
            let fresh = self.written_by(|| _ = start(&self.bench, self.plain, page));
            assert!(fresh > 0);
            outstanding += fresh;
        }
        let more = outstanding + free - self.entries;
        self.bench.fake.inner().run(more);
    }

    /// The entries that `before`, `operation` and their seal take; `None` where they are not taken.
    fn take(&self, free: u32, before: &[Operation], operation: Operation) -> Option<u32> {
        self.leave(free);
        let mut taken = Ok(());
        let written = self.written_by(|| {
            for operation in before {
                taken = taken.and_then(|()| operation(self));
            }
            taken = taken.and_then(|()| operation(self));
            self.bench.smmu.seal(&mut Cost::default());
        });
        taken.is_ok().then_some(written)
    }

    /// Holds what is taken to what fits; `spare` more entries are asked for than are written.
    fn assert_exact(&self, before: &[Operation], operation: Operation, spare: u32, what: &str) {
        let needed = self.take(self.entries, before, operation);
        let needed = needed.expect("it fits an empty ring") + spare;
        assert!(needed < self.entries);
        for free in needed.saturating_sub(3)..=needed + 1 {
            let taken = self.take(free, before, operation);
            let fits = (free >= needed).then_some(needed - spare);
            assert_eq!(taken, fits, "{what} needs {needed}, {free} are free");
        }
        self.finish();
    }
}

/// Two pages that no block holds which is not everything: two blocks for a device TLB.
fn straddling() -> Flush {
    pages(0x7fff_ffff_f000, 0x8000_0000_1000)
}

const ONE: Operation = |r| r.queue(space(r.plain, pages(0, 0x1000)));
const ONE_CACHED: Operation = |r| r.queue(space(r.cached, pages(0, 0x1000)));
const ONE_SHARED: Operation = |r| r.queue(space(r.shared, straddling()));

const FLUSHES: &[(&str, Operation)] = &[
    ("one page", ONE),
    ("five pages", |r| r.queue(space(r.plain, pages(0, 0x5000)))),
    ("a space", |r| r.queue(space(r.plain, Flush::all()))),
    ("one page of a device TLB", ONE_CACHED),
    ("two blocks", |r| r.queue(space(r.cached, straddling()))),
    ("five blocks", |r| r.queue(space(r.many, straddling()))),
    ("three contexts", |r| r.queue(space(r.many, Flush::all()))),
    ("kernel tables", |r| r.queue(Invalidation::KernelTables)),
    ("a release", |r| {
        r.bench.smmu.release(r.plain, &mut Cost::default())
    }),
    ("a larger release", |r| {
        r.bench.smmu.release(r.many, &mut Cost::default())
    }),
];

#[test]
fn promise_05_a_flush_is_taken_where_it_and_its_seal_fit() {
    for repeats in [false, true] {
        let ring = Ring::new(0, 6, repeats);
        let before: [&[Operation]; 4] = [&[], &[ONE], &[ONE_CACHED], &[ONE, ONE_CACHED, ONE]];
        for before in before {
            for (what, flush) in FLUSHES {
                let what = format!("{what} behind {} ({repeats})", before.len());
                ring.assert_exact(before, *flush, 0, &what);
            }
            // Device TLBs alone need no CMD_SYNC before them, and nothing is repeated: that much is asked for nevertheless.
            let spare = match (before, repeats) {
                ([], false) => 1,
                ([], true) => 2,
                _ => 0,
            };
            let what = format!("a shared space behind {} ({repeats})", before.len());
            ring.assert_exact(before, ONE_SHARED, spare, &what);
        }
    }
}

/// MMU-700 2812531: no run of more than 63 commands. Behind 63 open ones the CMD_SYNCs stand as densely as they can.
#[test]
fn promise_05_the_sync_often_erratum_has_room_for_its_syncs() {
    let ring = Ring::new(0x487 << 20 | 0x43b, 8, false);
    let longest: Operation = |r| r.queue(space(r.plain, pages(0, 63 << 12)));
    let flushes: [(u32, Operation); 5] = [
        (1 + 1, ONE),
        (62 + 1, |r| r.queue(space(r.plain, pages(0, 62 << 12)))),
        (63 + 1, longest),
        (64 + 2, |r| r.queue(space(r.plain, pages(0, 64 << 12)))),
        (127 + 3, |r| r.queue(space(r.plain, pages(0, 127 << 12)))),
    ];
    for (entries, flush) in flushes {
        let written = ring.take(ring.entries, &[longest], flush);
        assert_eq!(written, Some(63 + entries + 1));
        ring.assert_exact(&[longest], flush, 0, &format!("{entries} entries"));
    }
}

/// A set-up that is given up at once. One that was taken ends in a CMD_SYNC, where whatever was open does not.
fn set_up(
    ring: &Ring,
    run: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<(), AttachError>,
) -> Result<(), Full> {
    let written = ring.written_by(|| {
        assert!(matches!(run(&mut || false), Err(AttachError::Timeout(_))));
    });
    let inner = ring.bench.fake.inner();
    let last = inner.entry(inner.register(0x98).wrapping_sub(1));
    if written > 0 && last[0] as u8 == 0x46 {
        Ok(())
    } else {
        Err(Full)
    }
}

const SET_UPS: &[(&str, Operation)] = &[
    ("an install", |r| {
        set_up(r, |wait| r.bench.smmu.install(r.plain, wait))
    }),
    ("a larger install", |r| {
        set_up(r, |wait| r.bench.smmu.install(r.many, wait))
    }),
];

/// Where nothing is open, the CMD_SYNC before it is asked for and not written. Where something is, so is the one of its seal, and
/// that before what the seal repeats: a set-up ends in one.
#[test]
fn promise_05_a_set_up_is_taken_where_it_fits_beside_what_is_open() {
    for repeats in [false, true] {
        let ring = Ring::new(0, 6, repeats);
        let before: [&[Operation]; 4] = [&[], &[ONE], &[ONE, ONE], &[ONE_CACHED]];
        for before in before {
            for (what, set_up) in SET_UPS {
                let spare = match (before, repeats) {
                    ([], _) | (_, false) => 1,
                    (_, true) => 2,
                };
                let what = format!("{what} behind {} ({repeats})", before.len());
                ring.assert_exact(before, *set_up, spare, &what);
            }
        }
    }
}

#[test]
fn promise_05_a_set_up_waits_until_there_is_room() {
    let ring = Ring::new(0, 6, false);
    ring.leave(0);
    let mut turns = 0;
    let installed = ring.bench.smmu.install(ring.many, &mut || {
        turns += 1;
        ring.bench.fake.inner().run(1);
        turns < 1000
    });
    assert_eq!(installed, Ok(()));
    // All that was outstanding, and the three commands with their CMD_SYNC.
    assert_eq!(turns, ring.entries + 4);
    ring.finish();
}
