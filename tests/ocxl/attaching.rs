//! Links are made, processes attached and detached.

use crate::fake::{Around, Atsd, Barriers, Bench, Event, Lock, PASIDS, WHOLE, leaves, region};
use crate::regions::{self, region_off_by};
use std::task::Poll;
use tlb_shootdown::dma::{DmaRegion, Mmio};
use tlb_shootdown::iommu::ocxl::{
    AttachError, Config, InitError, Link, MemoryError, Mode, Unfinished,
};
use tlb_shootdown::secondary::SecondaryTlb;

fn make<M: Mmio>(unit: &Atsd, registers: M, spa: DmaRegion) -> Result<u32, InitError> {
    let lock = Lock::default();
    let around = Around {
        unit: unit.clone(),
        lock: None,
    };
    let barriers = Barriers(unit.clone());
    let mode = Mode::Atsd(registers);
    let link = Link::<_, _, _, _, 8, 8>::new(mode, barriers, lock, spa, around, Config::power9());
    link.map(|link| link.pasids())
}

/// Registers with fewer bytes than there should be.
struct Short(Atsd);

// SAFETY: passes accesses on.
unsafe impl Mmio for Short {
    fn len(&self) -> usize {
        16
    }
    fn read32(&self, offset: usize) -> u32 {
        self.0.read32(offset)
    }
    fn write32(&self, offset: usize, value: u32) {
        self.0.write32(offset, value);
    }
    fn read64(&self, offset: usize) -> u64 {
        self.0.read64(offset)
    }
    fn write64(&self, offset: usize, value: u64) {
        self.0.write64(offset, value);
    }
}

#[test]
fn a_link_is_refused_what_it_cannot_use() {
    let unit = Atsd::new();
    let with = |spa| make(&unit, unit.clone(), spa);
    assert_eq!(with(region(PASIDS)), Ok(PASIDS));
    // An element that does not fit is none; PASIDs end at 2^15.
    assert_eq!(with(regions::region(300, 0x1000)), Ok(2));
    assert_eq!(with(region((1 << 15) + 32)), Ok(1 << 15));
    let memory = |error| Err(InitError::Memory(error));
    assert_eq!(
        with(regions::region(127, 0x1000)),
        memory(MemoryError::TooShort)
    );
    let askew = region_off_by(0x800, 0x1000, 0x1000);
    assert_eq!(with(askew), memory(MemoryError::Misaligned));
    let short = make(&unit, Short(unit.clone()), region(PASIDS));
    assert_eq!(short, Err(InitError::NoRegisters));
    unit.inner().dead = true;
    assert_eq!(with(region(PASIDS)), Err(InitError::NoRegisters));
}

/// Somebody else's launch is still under way.
#[test]
fn registers_in_use_are_refused() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    bench.start(key, leaves(0x1000, 1));
    let second = make(&bench.unit, bench.unit.clone(), region(PASIDS));
    assert_eq!(second, Err(InitError::Busy));
}

#[test]
fn contexts_that_are_not_there_or_not_free_are_refused() {
    let bench = Bench::usual();
    assert_eq!(bench.reserve(0x42, &[]), Err(AttachError::UnknownContext));
    assert_eq!(
        bench.reserve(0x42, &[PASIDS]),
        Err(AttachError::UnknownContext)
    );
    assert_eq!(bench.reserve(0x42, &[5, 5]), Err(AttachError::InUse));
    let key = bench.reserve(0x42, &[5]).unwrap();
    assert_eq!(bench.reserve(0x43, &[6, 5]), Err(AttachError::InUse));
    let many: Vec<u32> = (10..18).collect();
    assert_eq!(bench.reserve(0x43, &many), Err(AttachError::NoSlot));
    bench.detach(key).unwrap();
    assert_eq!(bench.link.install(key), Err(AttachError::UnknownKey));
    bench.reserve(0x43, &many).unwrap();
    assert_eq!(bench.reserve(0x44, &[20]), Err(AttachError::NoSlot));
    // It has never walked.
    assert_eq!(bench.unit.take_log(), []);
}

/// The software state is stored behind a barrier, and taken back before one.
#[test]
fn promise_02_an_element_is_valid_last_and_invalid_first() {
    let bench = Bench::usual();
    bench.unit.inner().watched = Some(5);
    let key = bench.reserve(0x42, &[5]).unwrap();
    bench.link.install(key).unwrap();
    const STATE: u64 = 0x9600_0000_0000_4010;
    const VALID: u64 = 0x8000_0000;
    let seen = std::mem::take(&mut bench.unit.inner().seen);
    // The list, the element, its validity.
    assert_eq!(seen, [(0, 0), (STATE, 0), (STATE, VALID)]);
    bench.link.install(key).unwrap();
    assert_eq!(bench.unit.inner().seen, [], "it is left alone");
    bench.detach(key).unwrap();
    assert_eq!(bench.unit.inner().seen, [(STATE, 0), (0, 0)]);
}

/// Between reserve and install the process is flushed, and no device acts for it.
#[test]
fn promise_02_a_reserved_process_is_flushed_before_its_element_is_valid() {
    let bench = Bench::usual();
    let key = bench.reserve(0x42, &[5]).unwrap();
    assert_eq!(bench.unit.inner().element(5, 15), 0);
    let (log, _) = bench.flush(key, leaves(0x1000, 1));
    assert_eq!(log.len(), 1);
}

#[test]
fn promise_07_a_detached_pasid_is_clean_for_the_next() {
    let bench = Bench::usual();
    let first = bench.attach(0x42, &[5, 6]);
    bench.detach(first).unwrap();
    let expected = [
        Event::Terminate(5),
        Event::Terminated(5),
        Event::ClearPe(5),
        Event::Terminate(6),
        Event::Terminated(6),
        Event::ClearPe(6),
        WHOLE,
    ];
    assert_eq!(bench.unit.take_log(), expected);
    bench.detach(first).unwrap();
    assert_eq!(bench.unit.take_log(), [], "the key names nothing");
    let second = bench.attach(0x43, &[5]);
    assert_ne!(first, second);
    assert_eq!(bench.unit.inner().element(5, 7), 0x43);
    bench.unit.assert_rules_kept();
}

/// The engine's detach has done it all: nothing is asked for twice.
#[test]
fn a_detach_after_a_release_only_frees() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let mut cost = Default::default();
    bench.link.release(key, &mut cost).unwrap();
    let fence = bench.link.seal(&mut cost);
    assert_eq!(bench.finish(fence, &mut cost), Ok(()));
    bench.unit.take_log();
    assert_eq!(bench.link.unfinished(key), None);
    assert_eq!(bench.link.install(key), Err(AttachError::Released));
    bench.detach(key).unwrap();
    assert_eq!(bench.unit.take_log(), []);
    bench.attach(0x43, &[5]);
}

/// A detach whose invalidation does not complete frees nothing.
#[test]
fn promise_04_a_detach_that_times_out_leaves_the_pasid_taken() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    let late = AttachError::Timeout(key, Unfinished::Invalidation);
    assert_eq!(bench.detach(key), Err(late));
    assert_eq!(bench.link.unfinished(key), Some(Unfinished::Invalidation));
    assert_eq!(bench.reserve(0x43, &[5]), Err(AttachError::InUse));
    let (fence, _) = bench.start(key, leaves(0x1000, 1));
    assert_eq!(bench.poll(fence), Poll::Pending, "still told");
    bench.unit.inner().stalled = false;
    bench.detach(key).unwrap();
    bench.attach(0x43, &[5]);
}
