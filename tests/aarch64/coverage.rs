//! Any request, decoded again: what is emitted covers it, and hits no more than promise 11 allows.
//!
//! The decoder is an emulator's reading of the operands, not the library's.

use crate::common::*;
use crate::property::properties;
use proptest::prelude::*;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::range::RangePolicy;
use tlb_shootdown::arch::aarch64::{Config, VaBits};
use tlb_shootdown::arch::{Arch, Entries, Half, HardwareId, Reach};
use tlb_shootdown::cost::Cost;

/// A run of bytes, the end inclusive.
type Run = (u64, u64);

/// What a request is decoded against.
#[derive(Clone, Copy, Debug)]
struct Shape {
    granule: Granule,
    wide: bool,
    lpa2: bool,
    /// What one operation by address is known to cover here.
    entry: u64,
}

fn page_shift(granule: Granule) -> u32 {
    match granule {
        Granule::Kib4 => 12,
        Granule::Kib16 => 14,
        Granule::Kib64 => 16,
    }
}

fn sign_extend(value: u64, bits: u32) -> u64 {
    ((value << (64 - bits)) as i64 >> (64 - bits)) as u64
}

/// `None` for the operations on a whole space.
fn decode((name, operand): Executed, shape: Shape) -> Option<Run> {
    let operand = operand.filter(|_| !name.contains("aside"))?;
    if !name.starts_with("tlbi r") {
        let addr = sign_extend((operand & 0xfff_ffff_ffff) << 12, 56);
        let base = addr & !(shape.entry - 1);
        return Some((base, base + (shape.entry - 1)));
    }
    let tg = match operand >> 46 & 3 {
        1 => Granule::Kib4,
        2 => Granule::Kib16,
        3 => Granule::Kib64,
        _ => panic!("TG 0 is reserved"),
    };
    assert_eq!(tg, shape.granule);
    let (scale, num) = (operand >> 44 & 3, operand >> 39 & 31);
    let pages = (num + 1) << (5 * scale + 1);
    let unit = if shape.lpa2 { 16 } else { page_shift(tg) };
    let base = sign_extend((operand & 0x1f_ffff_ffff) << unit, 37 + unit);
    let hint = operand >> 37 & 3;
    let aligned_to = if hint == 0 || hint == 3 {
        1
    } else {
        shape.entry
    };
    // Arm ARM, RVAE1IS: a base that is not aligned to the hinted level need not invalidate anything.
    assert_eq!(base % aligned_to, 0, "base {base:#x} under level {hint}");
    let bytes = pages << page_shift(tg);
    Some((
        base,
        base.checked_add(bytes - 1)
            .expect("within the address space"),
    ))
}

/// The union of the runs, sorted and merged.
fn union(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    let mut merged: Vec<Run> = Vec::new();
    for (first, last) in runs {
        match merged.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => {
                previous.1 = previous.1.max(last);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// How many pages these operations cover together.
pub(crate) fn pages_covered(executed: &[Executed], granule: Granule) -> u64 {
    let shape = Shape {
        granule,
        wide: false,
        lpa2: false,
        entry: 1 << page_shift(granule),
    };
    union(
        executed
            .iter()
            .filter_map(|op| decode(*op, shape))
            .collect(),
    )
    .iter()
    .map(|(first, last)| (last - first + 1) >> page_shift(granule))
    .sum()
}

/// The sizes of leaf entries, single and contiguous (Arm ARM D8.2, D8.6.1), with the size of one member.
fn leaf_sizes(granule: Granule) -> Vec<(u8, u8)> {
    match granule {
        Granule::Kib4 => vec![(12, 12), (16, 12), (21, 21), (25, 21), (30, 30), (34, 30)],
        Granule::Kib16 => vec![(14, 14), (21, 14), (25, 25), (30, 25), (36, 36)],
        Granule::Kib64 => vec![(16, 16), (21, 16), (29, 29), (34, 29), (42, 42)],
    }
}

#[derive(Clone, Debug)]
struct Request {
    shape: Shape,
    range: PageRange,
    leaf: Option<PageSize>,
    half: Half,
    policy: RangePolicy,
    range_operations: bool,
}

prop_compose! {
    fn request()(
        granule in prop_oneof![Just(Granule::Kib4), Just(Granule::Kib16), Just(Granule::Kib64)],
        wide in any::<bool>(),
        ds in any::<bool>(),
        size in 0..6usize,
        known in any::<bool>(),
        kernel in any::<bool>(),
        bounded in any::<bool>(),
        range_operations in prop::bool::weighted(0.8),
        magnitude in 0..24u32,
        count in any::<u64>(),
        place in any::<u64>(),
        near_end in prop::bool::weighted(0.2),
    ) -> Request {
        let sizes = leaf_sizes(granule);
        let (size, member) = sizes[size % sizes.len()];
        let bits = if wide { 52 } else { 48 };
        let stride = PageSize::from_shift(size).expect("a size");
        let room = 1u64 << (bits - u32::from(size));
        let count = (count % (1 << magnitude) + 1).min(room);
        let last_place = room - count;
        let place = if near_end { last_place - (place % 3).min(last_place) } else { place % (last_place + 1) };
        let sign = if kernel { u64::MAX << bits } else { 0 };
        let range = PageRange::from_len(
            VirtAddr::new(sign | place << size), count << size, stride,
        ).expect("a range");
        Request {
            shape: Shape {
                granule,
                wide,
                lpa2: granule != Granule::Kib64 && (wide || ds),
                entry: 1 << member,
            },
            range,
            leaf: known.then_some(stride),
            half: if kernel { Half::Kernel } else { Half::User },
            policy: if bounded { RangePolicy::Bounded } else { RangePolicy::Exact },
            range_operations,
        }
    }
}

impl Request {
    fn machine(&self) -> Machine {
        let bits = if self.shape.wide {
            VaBits::Bits52
        } else {
            VaBits::Bits48
        };
        let mut config = Config::new(self.shape.granule)
            .va_bits(bits)
            .range_policy(self.policy);
        if self.shape.lpa2 {
            config = config.lpa2();
        }
        let cpu = if self.range_operations {
            Identification::FULL
        } else {
            Identification::PLAIN
        };
        machine(config, cpu)
    }

    fn emit(&self) -> (Vec<Executed>, Cost) {
        let machine = self.machine();
        let mut cost = Cost::ZERO;
        machine
            .check_range(self.half, &self.range)
            .expect("an address of this machine");
        let entries = Entries {
            leaf_size: self.leaf,
            ..LEAF
        };
        let reach = Reach::Broadcast;
        match self.half {
            Half::User => {
                machine.flush_tlb_range(HardwareId(9), &self.range, entries, reach, &mut cost)
            }
            Half::Kernel => machine.flush_tlb_kernel_range(&self.range, entries, reach, &mut cost),
        }
        (machine.instructions().take(), cost)
    }

    fn asked(&self) -> Run {
        (self.range.first().raw(), self.range.last_byte().raw())
    }

    fn pages_asked(&self) -> u64 {
        (self.asked().1 - self.asked().0 + 1) >> page_shift(self.shape.granule)
    }

    fn starts_aligned(&self) -> bool {
        !self.shape.lpa2 || self.asked().0 & 0xffff == 0
    }

    /// Whether by-space is what the limits ask for.
    fn is_beyond_limits(&self) -> bool {
        let entries = (self.asked().1 - self.asked().0) / self.shape.entry + 1;
        if self.range_operations {
            self.pages_asked() > 1 << 21 && entries > 5
        } else {
            entries >= 1 << (page_shift(self.shape.granule) - 3)
        }
    }

    fn check(&self) {
        let (executed, cost) = self.emit();
        assert!(!executed.is_empty());
        assert_eq!(executed.len(), cost.invalidations as usize);
        let runs: Vec<_> = executed
            .iter()
            .filter_map(|op| decode(*op, self.shape))
            .collect();
        assert_eq!(runs.is_empty(), self.is_beyond_limits());
        assert_eq!(cost.escalations, u32::from(runs.is_empty()));
        if runs.is_empty() {
            assert_eq!(executed.len(), 1);
            return;
        }
        let covered = union(runs.clone());
        let [(first, last)] = covered[..] else {
            panic!("{covered:x?} is not one run");
        };
        assert!(
            first <= self.asked().0 && self.asked().1 <= last,
            "{executed:x?}"
        );
        assert!(self.is_in_half(first) && self.is_in_half(last));
        self.check_bounds(&executed, (first, last));
    }

    /// Between the halves, and beyond the last address, there is nothing to hit.
    fn is_in_half(&self, addr: u64) -> bool {
        let bits = if self.shape.wide { 52 } else { 48 };
        addr >> bits == self.asked().0 >> bits
    }

    fn check_bounds(&self, executed: &[Executed], covered: Run) {
        let over =
            ((covered.1 - covered.0 + 1) >> page_shift(self.shape.granule)) - self.pages_asked();
        if over > 0 {
            assert_eq!(self.policy, RangePolicy::Bounded);
            assert!(executed.len() <= 2);
            assert!(
                over * 100 <= self.pages_asked() * 3,
                "{over} of {}",
                self.pages_asked()
            );
        }
        if !self.range_operations {
            return;
        }
        let most = match (self.policy, self.shape.lpa2) {
            (RangePolicy::Exact, _) if self.starts_aligned() => 5,
            (RangePolicy::Bounded, false) if self.pages_asked() <= 1 << 21 => 2,
            _ if self.pages_asked() > 1 << 21 => 9,
            _ => 20,
        };
        assert!(executed.len() <= most, "{executed:x?}");
    }
}

properties! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promise_11_every_range_is_covered_within_bounds(request in request()) {
        request.check();
    }
}

/// The first address of either half, and the last.
const HALVES: [(Half, Run); 2] = [
    (Half::User, (0, 0x0000_ffff_ffff_ffff)),
    (Half::Kernel, (0xffff_0000_0000_0000, u64::MAX)),
];

/// Every length up to two units of the second scale, at every distance from either end of a half up to 64 KiB.
#[test]
fn promise_11_short_ranges_exhaustively() {
    for (half, (bottom, top)) in HALVES {
        for (offset, count) in
            (0..16).flat_map(|offset| (1..=300).map(move |count| (offset, count)))
        {
            check_short(half, bottom + (offset << 12), count);
            check_short(half, top - (offset << 12) - ((count << 12) - 1), count);
        }
    }
}

/// So many pages from here on, under either policy, with LPA2 and without.
fn check_short(half: Half, start: u64, count: u64) {
    for policy in [RangePolicy::Exact, RangePolicy::Bounded] {
        for lpa2 in [false, true] {
            let request = Request {
                shape: Shape {
                    granule: Granule::Kib4,
                    wide: false,
                    lpa2,
                    entry: 0x1000,
                },
                range: pages(start, count << 12, PageSize::KIB_4),
                leaf: Some(PageSize::KIB_4),
                half,
                policy,
                range_operations: true,
            };
            request.check();
        }
    }
}
