//! Splitting a range of pages into runs that one INVLPGB covers each. Pure arithmetic.

use crate::address::{PageRange, PageSize, VirtAddr};

/// The most addresses that one INVLPGB takes, 1 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MaxCount(u32);

impl MaxCount {
    /// One address for each instruction, which every CPU takes.
    pub const ONE: Self = Self(1);

    /// From CPUID 8000_0008h, whose EDX\[15:0\] is one less (AMD APM Vol 3 E.4.7).
    pub const fn from_cpuid(edx: u32) -> Self {
        Self((edx & 0xffff) + 1)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The distance between two addresses of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stride {
    /// 4 KiB.
    Kib4,
    /// 2 MiB.
    Mib2,
}

/// `extra + 1` addresses, a stride apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Run {
    base: VirtAddr,
    extra: u16,
    stride: Stride,
}

impl Run {
    /// The first address.
    pub const fn base(&self) -> VirtAddr {
        self.base
    }

    /// How many addresses follow the first.
    pub const fn extra(&self) -> u16 {
        self.extra
    }

    /// How far apart they are.
    pub const fn stride(&self) -> Stride {
        self.stride
    }
}

/// The runs of a range, in ascending order.
#[derive(Clone, Debug)]
pub struct Runs {
    base: u64,
    entries: u64,
    entry: PageSize,
    max: u64,
}

/// Splits a range into runs of at most `max` addresses: exactly one address for each leaf entry that the stride of the range allows
/// for.
///
/// A 1 GiB leaf takes one address and an instruction of its own: whichever entries the CPU made of a large page, one address of it
/// drops them all (Intel SDM Vol 3A 4.10.4.1, AMD APM Vol 2 5.5.2).
pub const fn split(pages: &PageRange, max: MaxCount) -> Runs {
    let entry = leaf_size(pages.stride());
    let rounded = pages.with_stride(entry);
    let max = if entry.shift() == PageSize::GIB_1.shift() {
        1
    } else {
        max.get() as u64
    };
    Runs {
        base: rounded.first().raw(),
        entries: rounded.count(),
        entry,
        max,
    }
}

/// The largest size that a leaf entry can have and that is not larger than this one.
pub(in crate::arch::x86_64) const fn leaf_size(stride: PageSize) -> PageSize {
    if stride.shift() >= PageSize::GIB_1.shift() {
        PageSize::GIB_1
    } else if stride.shift() >= PageSize::MIB_2.shift() {
        PageSize::MIB_2
    } else {
        PageSize::KIB_4
    }
}

impl Runs {
    /// How many instructions are left.
    pub const fn instructions(&self) -> u64 {
        self.entries.div_ceil(self.max)
    }
}

impl Iterator for Runs {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let count = self.entries.min(self.max);
        let extra = u16::try_from(count.checked_sub(1)?).ok()?;
        let run = Run {
            base: VirtAddr::new(self.base),
            extra,
            stride: match self.entry {
                PageSize::MIB_2 => Stride::Mib2,
                _ => Stride::Kib4,
            },
        };
        self.entries -= count;
        // The last page of the address space ends at 2^64.
        self.base = self.base.wrapping_add(count << self.entry.shift());
        Some(run)
    }
}
