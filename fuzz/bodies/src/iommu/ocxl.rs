//! OpenCAPI: what is launched through the ATSD registers (Linux `asm/pnv-ocxl.h`; bit n of the manual is bit 63 - n here).

use super::arena::Arena;
use super::port::Lock;
use crate::input::{Input, Space};
use crate::runs::{Run, assert_covered, pages, rounded};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown::flush::{Depth, Flush};
use tlb_shootdown::iommu::ocxl::{
    Config, Context, FunctionId, Host, HostError, Link, Mode, Pasid, Pid, Process,
};
use tlb_shootdown::secondary::{Invalidation, SecondaryTlb};

const LNCH: usize = 0x00;
const AVA: usize = 0x08;
const STAT: usize = 0x10;
const PASIDS: usize = 8;
const SPACE: Space = Space { base: 0, bits: 52 };
/// Those that radix tables have, and two that they lack: an invalidation by page cannot name them.
const SIZES: [u8; 6] = [12, 16, 21, 30, 14, 25];

/// What was launched: the address, where one was named, and the word.
type Launch = (Option<u64>, u64);

#[derive(Default)]
struct Registers {
    ava: Option<u64>,
    launched: Vec<Launch>,
    /// Looks at STAT until the next launch is complete.
    busy: u64,
    pace: u64,
    /// What the CPU has stored to tables can be seen by the nest.
    published: bool,
}

#[derive(Clone, Default)]
struct Unit(Arc<Mutex<Registers>>);

impl Unit {
    fn with<R>(&self, f: impl FnOnce(&mut Registers) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// SAFETY: one access each, under the lock; the registers are big-endian.
unsafe impl Mmio for Unit {
    fn len(&self) -> usize {
        24
    }

    fn read32(&self, _: usize) -> u32 {
        panic!("the registers have 64 bits")
    }

    fn write32(&self, _: usize, _: u32) {
        panic!("the registers have 64 bits")
    }

    fn read64(&self, offset: usize) -> u64 {
        assert_eq!(offset, STAT);
        self.with(|registers| {
            let busy = registers.busy > 0;
            registers.busy = registers.busy.saturating_sub(1);
            (u64::from(busy) << 63).swap_bytes()
        })
    }

    fn write64(&self, offset: usize, value: u64) {
        self.with(|registers| {
            assert_eq!(registers.busy, 0, "{offset:#x} is written under a launch");
            match offset {
                AVA => registers.ava = Some(value.swap_bytes()),
                LNCH => {
                    assert!(registers.published, "launched for stores that nobody sees");
                    let launch = (registers.ava.take(), value.swap_bytes());
                    registers.launched.push(launch);
                    registers.busy = registers.pace;
                }
                _ => panic!("{offset:#x} is read-only"),
            }
        });
    }
}

// SAFETY: the unit runs in this thread.
unsafe impl DmaBarriers for Unit {
    fn publish_tables(&self) {
        self.with(|registers| registers.published = true);
    }

    fn before_doorbell(&self) {
        self.with(|registers| registers.published = true);
    }

    fn after_completion(&self) {}
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

/// Firmware and devices that do everything at once.
struct Around;

// SAFETY: no device here uses anything.
unsafe impl Host for Around {
    fn terminate_pasid(&self, _: &Context) -> Poll<Result<(), HostError>> {
        Poll::Ready(Ok(()))
    }

    fn termination(&self, _: &Context) -> Poll<Result<(), HostError>> {
        Poll::Ready(Ok(()))
    }

    fn clear_pe_cache(&self, _: &Context) -> Poll<Result<(), HostError>> {
        Poll::Ready(Ok(()))
    }

    fn flush_process(&self, _: Pid) {}
}

/// A few requests at once: each covered, nothing else hit that was not counted, nothing reserved.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (pid, pace) = (1 + input.below(0xf_ffff) as u32, input.below(4));
    let config = Config {
        most_pages: input.pick(&[8, 1, 64]),
        page_zero_by_address: input.flag(),
        ..Config::power10()
    };
    let (arena, unit) = (Arena::default(), Unit::default());
    let (mode, spa) = (Mode::Atsd(unit.clone()), arena.region(PASIDS * 128, 0x1000));
    let link =
        Link::<_, _, _, _, 4, 4>::new(mode, unit.clone(), Lock::default(), spa, Around, config);
    let link = link.expect("idle registers");
    let context = Context {
        pasid: Pasid::new(3).expect("few bits"),
        function: FunctionId(8),
        thread: 0,
        amr: 0,
    };
    let process = Process {
        pid: Pid::new(pid).expect("20 bits"),
        lpid: 0,
        wide: true,
        tag_checks: false,
    };
    let key = link.reserve(&[context], &process).expect("a free element");
    link.install(key).expect("reserved");
    unit.with(|registers| (registers.pace, registers.published) = (pace, false));
    let flushes: Vec<_> = (0..=input.below(3))
        .map(|_| input.flush(SPACE, &SIZES))
        .collect();
    let mut cost = Cost::ZERO;
    for flush in &flushes {
        let (key, flush) = (key, *flush);
        let queued = link.queue(&Invalidation::Space { key, flush }, &mut cost);
        assert_eq!(queued, Ok(()), "of one process all fit");
    }
    let mut fence = link.seal(&mut cost);
    let mut polls = 0;
    while link.poll(&mut fence, &mut cost) != Poll::Ready(Ok(())) {
        polls += 1;
        assert!(polls < 2000, "never complete");
    }
    let (launched, busy) = unit.with(|registers| {
        let launched = std::mem::take(&mut registers.launched);
        (launched, registers.busy)
    });
    assert_eq!(busy, 0, "complete, and the last launch is not");
    check(&launched, &flushes, pid, &config, &cost);
    arena.assert_guards();
}

fn check(launched: &[Launch], flushes: &[Flush], pid: u32, config: &Config, cost: &Cost) {
    let mut by_page: Vec<(u8, Run)> = Vec::new();
    let mut whole = false;
    for (address, word) in launched {
        // R, RIC = 2, PRS; LP, B, L, F and SLBI are zero.
        assert_eq!(word >> 61, 0b110, "{word:#x}");
        assert_eq!(
            word & 0x1fe2_2000_01bf_ffff,
            0,
            "reserved or other processes: {word:#x}"
        );
        assert_eq!(word >> 50 & 1, 1, "PRS");
        assert_eq!(word >> 25 & 0xf_ffff, pid.into());
        match (word >> 51 & 3, address) {
            (0, Some(address)) => {
                let size = match word >> 46 & 7 {
                    0 => 12,
                    5 => 16,
                    1 => 21,
                    2 => 30,
                    ap => panic!("AP {ap}"),
                };
                assert!(
                    *address != 0 || config.page_zero_by_address,
                    "page 0 by address"
                );
                by_page.push((size, rounded((*address, *address), size)));
            }
            (1, None) => whole = true,
            form => panic!("{form:x?} in {word:#x}"),
        }
    }
    assert_eq!(
        whole,
        cost.escalations > 0,
        "widened and not counted: {launched:x?}"
    );
    if whole {
        return;
    }
    let mut asked_for = 0;
    for flush in flushes {
        let FlushRange::Pages(range) = flush.range() else {
            unreachable!("drawn as pages")
        };
        assert_eq!(
            flush.depth(),
            Depth::Leaf,
            "walk caches may stay: {flush:?}"
        );
        let size = flush
            .known_leaf_size()
            .expect("entries of other sizes stay")
            .shift();
        let of_size = by_page.iter().filter(|page| page.0 == size);
        let runs: Vec<_> = of_size.map(|page| page.1).collect();
        let asked = rounded((range.first().raw(), range.last_byte().raw()), size);
        assert_covered(&runs, asked);
        asked_for += pages(&[asked]);
    }
    let hit: u128 = by_page.iter().map(|page| pages(&[page.1])).sum();
    assert!(hit <= asked_for, "{launched:x?}");
}
