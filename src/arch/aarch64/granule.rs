//! Translation granules: which sizes a leaf entry can map, and at which level it then stands.

use crate::address::PageSize;

/// The size of the smallest page, and so the shape of the translation tables (`TCR_EL1.TG0`, `TG1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Granule {
    /// 4 KiB pages, 512 entries in a table.
    Kib4,
    /// 16 KiB pages, 2048 entries in a table.
    Kib16,
    /// 64 KiB pages, 8192 entries in a table.
    Kib64,
}

/// The shape of the tables, as operands describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tables {
    /// The size of a page.
    pub granule: Granule,
    /// `TCR_EL1.DS`: range operands then hold 64 KiB units, whatever the granule is.
    pub lpa2: bool,
}

/// The lookup level of a leaf entry, 0 to 3; 3 maps single pages.
///
/// A level that is not known is `None` and never 0: with FEAT_LPA2 a leaf may stand at level 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Level(u8);

impl Level {
    /// The number, 0 to 3.
    pub const fn number(self) -> u64 {
        self.0 as u64
    }
}

impl Granule {
    /// The size of a page.
    pub const fn page_size(self) -> PageSize {
        match self {
            Self::Kib4 => PageSize::KIB_4,
            Self::Kib16 => PageSize::KIB_16,
            Self::Kib64 => PageSize::KIB_64,
        }
    }

    /// The number of entries in a table.
    pub const fn entries_per_table(self) -> u64 {
        self.page_size().bytes() / 8
    }

    /// The level of a leaf entry of this size, or of the members of a contiguous group of this size (Arm ARM D8.2, D8.6.1);
    /// `None` where no leaf entry maps it.
    pub const fn level_of(self, size: PageSize) -> Option<Level> {
        if size.shift() < self.page_size().shift() {
            return None;
        }
        let mut level = 3;
        loop {
            let entry = self.entry_shift(level);
            if size.shift() == entry || self.is_group(level, size.shift() - entry) {
                return Some(Level(level));
            }
            if level == self.top_leaf_level() || size.shift() < self.entry_shift(level - 1) {
                return None;
            }
            level -= 1;
        }
    }

    /// The size of the entries that a leaf of this size consists of: for a contiguous group its members, which a TLB may hold
    /// one by one, and for any other size the largest entry that is not larger.
    pub const fn member_size(self, size: PageSize) -> PageSize {
        let mut level = 3;
        while level > self.top_leaf_level() && size.shift() >= self.entry_shift(level - 1) {
            level -= 1;
        }
        match PageSize::from_shift(self.entry_shift(level)) {
            Some(member) => member,
            None => self.page_size(),
        }
    }

    /// log2 of what one entry of this level maps: every level above the last resolves log2(entries per table) bits.
    const fn entry_shift(self, level: u8) -> u8 {
        let page = self.page_size().shift();
        page + (3 - level) * (page - 3)
    }

    /// Blocks at level 0 exist for 4 KiB alone.
    const fn top_leaf_level(self) -> u8 {
        match self {
            Self::Kib4 => 0,
            Self::Kib16 | Self::Kib64 => 1,
        }
    }

    /// Whether the contiguous hint groups `1 << log2` entries at this level.
    const fn is_group(self, level: u8, log2: u8) -> bool {
        matches!(
            (self, level, log2),
            (Self::Kib4, 1..=3, 4)
                | (Self::Kib16, 3, 7)
                | (Self::Kib16, 2, 5)
                | (Self::Kib64, 2 | 3, 5)
        )
    }
}
