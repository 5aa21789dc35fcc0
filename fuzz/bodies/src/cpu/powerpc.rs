//! `tlbie` and `tlbiel`, as the ISA reads them (Book III 6.9.3.3). Its bit n is bit 63 - n here.

use super::kernel::Kernel;
use crate::input::{Input, Space};
use crate::runs::{Run, assert_covered, pages, rounded};
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::arch::powerpc::{Config, PowerPc};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::{Depth, Flush};
use tlb_shootdown_model::recorder::powerpc::{Executed, POWER9, POWER10, Recorder};

type Arch = PowerPc<Recorder, 1>;

/// Quadrant 0.
const USER: Space = Space { base: 0, bits: 52 };
/// AP of each page size (`ibm,processor-radix-AP-encodings`).
const AP: [(u64, u8); 4] = [(0, 12), (5, 16), (1, 21), (2, 30)];

/// The machine and the request.
struct Case {
    flush: Flush,
    base: u8,
    is_shared: bool,
    pid: u64,
    ceiling: u64,
}

/// Any request on any machine: covered in every size that an entry may have, nothing else hit below the ceiling.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let base = input.pick(&[12, 16]);
    let flush = input.flush(USER, &[base, 21, 30]);
    let (is_shared, is_power9) = (input.flag(), input.flag());
    let ceilings = [input.pick(&[33, 4, 300]), input.pick(&[256, 4, 600])];
    let mut config = Config::hypervisor().page_ceilings(ceilings[0], ceilings[1]);
    if base == 16 {
        config = config.base_page_64k();
    }
    let pvr = if is_power9 { POWER9 } else { POWER10 };
    let arch = Arch::new(Recorder::new(pvr), config);
    let kernel = Kernel::new(arch, 2, |_, _| ());
    let (engine, recorder) = (&kernel.engine, kernel.engine.arch().instructions());
    let space = engine.new_space();
    let mut pid = 0;
    for cpu in (0..=u32::from(is_shared)).rev() {
        kernel.on(cpu);
        pid = engine.switch_to(&space).expect("live").0;
        engine.root_loaded();
    }
    recorder.take();
    let ticket = engine.start(&space, flush).expect("of this machine");
    let cost = kernel.finish(ticket);
    let case = Case {
        flush,
        base,
        is_shared,
        pid,
        ceiling: ceilings[usize::from(!is_shared)],
    };
    case.check(&recorder.take(), &cost, is_power9);
}

impl Case {
    fn check(&self, executed: &[Executed], cost: &Cost, is_power9: bool) {
        let FlushRange::Pages(range) = self.flush.range() else {
            unreachable!("drawn as pages")
        };
        assert_eq!(executed.first().map(|op| op.0), Some("ptesync"));
        let mut by_page = Vec::new();
        let (mut whole, mut walk_caches) = (false, false);
        for (name, [rb, rs]) in executed.iter().filter(|op| op.0.starts_with("tlbie")) {
            assert_eq!(name.starts_with("tlbiel"), !self.is_shared, "{name}");
            // POWER9's defects: an invalidation of PID 0 behind the others, whose page may be any.
            if is_power9 && rs >> 32 == 0 {
                continue;
            }
            assert_eq!(*rs, self.pid << 32, "{name}");
            walk_caches |= !name.contains("ric0");
            match rb >> 10 & 3 {
                0 => by_page.push(page(*rb, name)),
                1 => whole |= !name.contains("ric1"),
                scope => panic!("IS = {scope} is somebody else's: {rb:#x}"),
            }
        }
        assert!(walk_caches || self.flush.depth() == Depth::Leaf);
        let asked = (range.first().raw(), range.last_byte().raw());
        let sizes = self.sizes(range.stride().shift());
        let count = |size: &u8| {
            let (first, last) = rounded(asked, *size);
            ((last - first) >> size) + 1
        };
        let total: u64 = sizes.iter().map(count).sum();
        assert_eq!(whole, total > self.ceiling, "{executed:x?}");
        assert_eq!(cost.escalations, u32::from(whole));
        if !whole {
            check_pages(&by_page, &sizes, asked);
        }
    }

    /// The sizes that an entry of the request may have: the promised one, else all that are no smaller than the largest within the stride.
    fn sizes(&self, stride: u8) -> Vec<u8> {
        match self.flush.promised_leaf_size() {
            Some(size) => vec![size.shift()],
            None => [self.base, 21, 30]
                .into_iter()
                .filter(|size| *size >= stride)
                .collect(),
        }
    }
}

/// RB by address: EPN\[0:51\], AP\[56:58\], all else zero. The size and the address.
fn page(rb: u64, name: &str) -> (u8, u64) {
    assert!(name.contains("ric0"), "walk caches by address: {name}");
    assert_eq!(rb & 0xf1f, 0, "reserved bits: {rb:#x}");
    let ap = rb >> 5 & 7;
    let known = AP.into_iter().find(|(code, _)| *code == ap);
    (known.expect("a coding in AP").1, rb & !0xfff)
}

/// Each size is covered by entries of that size, and by no more than that. An invalidation of POWER9's that comes twice counts once.
fn check_pages(by_page: &[(u8, u64)], sizes: &[u8], asked: Run) {
    for (size, _) in by_page {
        assert!(sizes.contains(size), "{size} is no size of an entry here");
    }
    for size in sizes {
        let of_size = by_page.iter().filter(|page| page.0 == *size);
        let runs: Vec<_> = of_size
            .map(|page| rounded((page.1, page.1), *size))
            .collect();
        let asked = rounded(asked, *size);
        assert_covered(&runs, asked);
        assert_eq!(pages(&runs), pages(&[asked]));
    }
}
