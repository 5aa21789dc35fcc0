//! The address operand that all by-address TLB invalidations share (IHI 0070 4.4.1.1).

use super::ids::Granule;
use crate::address::VirtAddr;
use crate::flush::Depth;

/// The level at which every leaf entry of a range stands: 1, 2 or 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Level {
    /// Level 1 blocks.
    One = 1,
    /// Level 2 blocks.
    Two = 2,
    /// Level 3 pages.
    Three = 3,
}

/// How far the range fields of an implementation reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RangeFields {
    /// SCALE up to 31.
    Narrow,
    /// SCALE up to 39, and level 1 hints for 16 KiB granules (IDR5.DS).
    Wide,
}

impl RangeFields {
    /// The largest SCALE.
    pub const fn max_scale(self) -> u8 {
        match self {
            Self::Narrow => 31,
            Self::Wide => 39,
        }
    }
}

/// Addresses that one TLBI command covers, with the fields that say so. Cannot hold a reserved combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Span {
    w0: u64,
    w1: u64,
}

impl Span {
    /// The entry that translates one address, of whatever granule and size: TG, NUM, SCALE and TTL are 0.
    pub const fn single(addr: VirtAddr, depth: Depth) -> Self {
        Self {
            w0: 0,
            w1: addr.raw() & !0xfff | leaf_bit(depth),
        }
    }

    /// `count << scale` granules from `addr` on, in tables of this granule; with a level, entries of other levels may stay.
    /// Only for implementations with IDR3.RIL.
    ///
    /// `None` for what the manual reserves or leaves unpredictable: a count outside 1 to 32, a scale beyond the fields, one
    /// granule without a level, level 1 of a 16 KiB granule without DS, an address that is not aligned to the granule or
    /// level, or a range past the end of the address space.
    pub const fn granules(
        addr: VirtAddr,
        granule: Granule,
        count: u8,
        scale: u8,
        level: Option<Level>,
        depth: Depth,
        fields: RangeFields,
    ) -> Option<Self> {
        if count == 0 || count > 32 || scale > fields.max_scale() {
            return None;
        }
        let ttl = match level {
            None => 0,
            Some(level) => level as u64,
        };
        if count == 1 && scale == 0 && ttl == 0 {
            return None;
        }
        if ttl == 1 && matches!(granule, Granule::Kib16) && matches!(fields, RangeFields::Narrow) {
            return None;
        }
        let aligned = granule.shift() + level_shift(granule, level);
        if addr.raw() & ((1 << aligned) - 1) != 0 {
            return None;
        }
        let bytes = (count as u128) << (scale + granule.shift());
        if addr.raw() as u128 + bytes > 1 << 64 {
            return None;
        }
        let tg = match granule {
            Granule::Kib4 => 1,
            Granule::Kib16 => 2,
            Granule::Kib64 => 3,
        };
        Some(Self {
            w0: (count as u64 - 1) << 12 | (scale as u64) << 20,
            w1: addr.raw() | tg << 10 | ttl << 8 | leaf_bit(depth),
        })
    }

    /// The bits of the two command words.
    pub const fn words(self) -> [u64; 2] {
        [self.w0, self.w1]
    }
}

const fn leaf_bit(depth: Depth) -> u64 {
    matches!(depth, Depth::Leaf) as u64
}

/// Granules, as a power of two, that one entry of the level spans.
pub(super) const fn level_shift(granule: Granule, level: Option<Level>) -> u8 {
    match level {
        None | Some(Level::Three) => 0,
        Some(Level::Two) => granule.level_bits(),
        Some(Level::One) => 2 * granule.level_bits(),
    }
}
