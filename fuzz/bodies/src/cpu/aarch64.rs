//! TLBI operands, as an emulator reads them (Arm ARM C5.5, "TLBI VAE1IS", "TLBI RVAE1IS").

use crate::input::{Input, Space};
use crate::runs::{Run, assert_covered, pages, rounded};
use tlb_shootdown::address::{FlushRange, PageSize};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::range::RangePolicy;
use tlb_shootdown::arch::aarch64::{Aarch64, Config, VaBits};
use tlb_shootdown::arch::{Arch, Entries, Half, HardwareId, Reach};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::{Depth, Flush};
use tlb_shootdown_model::recorder::aarch64::{Executed, Identification, Recorder};

/// The machine and the request.
struct Case {
    granule: Granule,
    lpa2: bool,
    kpti: bool,
    exact: bool,
    full: bool,
    half: Half,
    reach: Reach,
    asid: u64,
    flush: Flush,
    asked: Run,
}

/// Any request on any machine: covered, nothing else hit, no reserved operand.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let granule = input.pick(&[Granule::Kib4, Granule::Kib16, Granule::Kib64]);
    let (wide, ds, kpti) = (input.flag(), input.flag(), input.flag());
    let half = input.pick(&[Half::User, Half::Kernel]);
    let bits = if wide { 52 } else { 48 };
    let base = match half {
        Half::User => 0,
        Half::Kernel => u64::MAX << bits,
    };
    let sizes = leaf_sizes(granule).map(|(size, ..)| size);
    let flush = input.flush(Space { base, bits }, &sizes);
    let FlushRange::Pages(range) = *flush.range() else {
        return;
    };
    let case = Case {
        granule,
        lpa2: granule != Granule::Kib64 && (wide || ds),
        kpti,
        exact: input.flag(),
        full: input.below(4) != 3,
        half,
        reach: input.pick(&[Reach::Broadcast, Reach::Local]),
        asid: input.below(0x8000) << 1,
        flush,
        asked: (range.first().raw(), range.last_byte().raw()),
    };
    let mut config = Config::new(granule).wide_asids();
    config = if wide {
        config.va_bits(VaBits::Bits52)
    } else {
        config
    };
    config = if ds { config.lpa2() } else { config };
    config = if kpti { config.kpti() } else { config };
    config = if case.exact {
        config
    } else {
        config.range_policy(RangePolicy::Bounded)
    };
    case.check(config);
}

fn page_shift(granule: Granule) -> u8 {
    match granule {
        Granule::Kib4 => 12,
        Granule::Kib16 => 14,
        Granule::Kib64 => 16,
    }
}

/// The sizes of leaf entries, single and contiguous (Arm ARM D8.2, D8.6.1), with that of one member and its level.
fn leaf_sizes(granule: Granule) -> [(u8, u8, u64); 5] {
    match granule {
        Granule::Kib4 => [
            (12, 12, 3),
            (16, 12, 3),
            (21, 21, 2),
            (25, 21, 2),
            (30, 30, 1),
        ],
        Granule::Kib16 => [
            (14, 14, 3),
            (21, 14, 3),
            (25, 25, 2),
            (30, 25, 2),
            (36, 36, 1),
        ],
        Granule::Kib64 => [
            (16, 16, 3),
            (21, 16, 3),
            (29, 29, 2),
            (34, 29, 2),
            (42, 42, 1),
        ],
    }
}

impl Case {
    fn check(&self, config: Config) {
        let identification = match self.full {
            true => Identification::FULL,
            false => Identification::PLAIN,
        };
        let machine = Aarch64::<Recorder, 1>::new(Recorder::new(identification), config);
        machine.join(CpuId::new(0)).expect("the first CPU");
        machine.seal_features();
        machine.instructions().take();
        let (executed, cost) = self.emit(&machine);
        assert_eq!(executed.len(), cost.invalidations as usize);
        assert!(executed.len() as u64 <= self.most(), "interrupts are off");
        let runs: Vec<_> = executed.iter().filter_map(|op| self.decode(*op)).collect();
        assert_eq!(
            cost.escalations,
            u32::from(runs.is_empty()),
            "{executed:x?}"
        );
        if runs.is_empty() {
            assert!(self.is_beyond_limits(), "{executed:x?}");
            return;
        }
        let asked = rounded(self.asked, self.entry());
        for odd in 0..=u64::from(self.kpti && self.half == Half::User) {
            let of: Vec<_> = runs
                .iter()
                .filter(|run| run.0 == odd)
                .map(|run| run.1)
                .collect();
            assert_covered(&of, asked);
            let over = pages(&of) - pages(&[asked]);
            let most = if self.exact {
                0
            } else {
                pages(&[asked]) * 3 / 100
            };
            assert!(over <= most, "{over} pages too many: {executed:x?}");
        }
    }

    fn emit(&self, machine: &Aarch64<Recorder, 1>) -> (Vec<Executed>, Cost) {
        let FlushRange::Pages(range) = self.flush.range() else {
            unreachable!("drawn as pages")
        };
        let entries = Entries::from(&self.flush);
        let (id, mut cost) = (HardwareId(self.asid), Cost::ZERO);
        assert_eq!(machine.check_range(self.half, range), Ok(()));
        match self.half {
            Half::User => machine.flush_tlb_range(id, range, entries, self.reach, &mut cost),
            Half::Kernel => machine.flush_tlb_kernel_range(range, entries, self.reach, &mut cost),
        }
        (machine.instructions().take(), cost)
    }

    /// log2 of what one operation by address covers: a leaf entry goes as a whole, a contiguous group member by member.
    fn entry(&self) -> u8 {
        let FlushRange::Pages(range) = self.flush.range() else {
            unreachable!("drawn as pages")
        };
        let size = self.flush.known_leaf_size().unwrap_or(range.stride());
        self.member(size).0
    }

    fn member(&self, size: PageSize) -> (u8, u64) {
        let found = leaf_sizes(self.granule)
            .into_iter()
            .find(|leaf| leaf.0 == size.shift());
        let (_, member, level) = found.expect("drawn from the table");
        (member, level)
    }

    /// The low bit of the ASID, and the addresses; `None` for the operations on a whole space.
    fn decode(&self, (name, operand): Executed) -> Option<(u64, Run)> {
        assert_eq!(
            name.ends_with("is"),
            self.reach == Reach::Broadcast,
            "{name}"
        );
        let by_space = name.contains("aside") || name.contains("vmalle");
        let operand = operand.filter(|_| !by_space)?;
        let is_leaf = name.contains("vale1") || name.contains("vaale1");
        assert_eq!(is_leaf, self.flush.depth() == Depth::Leaf, "{name}");
        let odd = operand >> 48 & 1;
        let asid = if self.half == Half::User {
            self.asid
        } else {
            0
        };
        assert_eq!(operand >> 48 & !1, asid, "{operand:x}");
        match name.starts_with("tlbi r") {
            true => Some((odd, self.range(operand))),
            false => Some((odd, self.single(operand))),
        }
    }

    fn single(&self, operand: u64) -> Run {
        self.check_hint(operand >> 44 & 3, operand >> 46 & 3);
        let addr = sign_extend(operand << 12, 56);
        rounded((addr, addr), self.entry())
    }

    fn range(&self, operand: u64) -> Run {
        assert!(self.full, "no CPU here has range operations");
        let shift = page_shift(self.granule);
        let (tg, scale, num) = (operand >> 46 & 3, operand >> 44 & 3, operand >> 39 & 31);
        assert_eq!(tg, u64::from(shift - 10) / 2, "TG");
        let hint = operand >> 37 & 3;
        self.check_hint(hint, if hint == 0 { 0 } else { tg });
        let unit = if self.lpa2 { 16 } else { u32::from(shift) };
        let base = sign_extend(operand << unit, 37 + unit);
        if hint == 1 || hint == 2 {
            // "RVAE1IS": a base that is not aligned to the hinted level need not invalidate anything.
            assert_eq!(base, base >> self.entry() << self.entry());
        }
        let bytes = (num + 1) << (5 * scale + 1) << shift;
        (
            base,
            base.checked_add(bytes - 1)
                .expect("within the address space"),
        )
    }

    /// A level hint lets entries of other levels stay: it is given only where every leaf is known to be of that level.
    fn check_hint(&self, level: u64, tg: u64) {
        if level == 0 {
            // For 16 KiB granules without a level the manual reserves nothing, and nothing is emitted.
            assert_eq!(tg, 0);
            return;
        }
        assert!(self.full, "no CPU here has level hints");
        assert_eq!(tg, u64::from(page_shift(self.granule) - 10) / 2);
        let known = self
            .flush
            .known_leaf_size()
            .expect("a hint without knowledge");
        assert_eq!(level, self.member(known).1);
    }

    /// Promise 12: as many operations as a table has entries, or a few dozen where there are those of ranges (up to the next 64 KiB, with
    /// LPA2, it goes page by page), under each ASID.
    fn most(&self) -> u64 {
        let most = match self.full {
            true => 40,
            false => 1 << (page_shift(self.granule) - 3),
        };
        most << u32::from(self.kpti && self.half == Half::User)
    }

    /// Where promise 11 lets a whole space go for a range.
    fn is_beyond_limits(&self) -> bool {
        let (first, last) = rounded(self.asked, self.entry());
        let entries = ((last - first) >> self.entry()) + 1;
        let pages = ((last - first) >> page_shift(self.granule)) + 1;
        match self.full {
            true => pages > 1 << 21 && entries > 5,
            false => entries >= 1 << (page_shift(self.granule) - 3),
        }
    }
}

/// The low `bits` bits, the highest of them repeated upward.
fn sign_extend(value: u64, bits: u32) -> u64 {
    ((value << (64 - bits)) as i64 >> (64 - bits)) as u64
}
