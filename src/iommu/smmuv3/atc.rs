//! The blocks by which a device's own TLB is invalidated (IHI 0070 4.5.1).

use crate::address::{FlushRange, PageRange};
use crate::defects::Defect;
use crate::iommu::block::{cut, log2_of_block};

/// One naturally aligned power-of-two block, in the units of CMD_ATC_INV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AtcBlock {
    /// log2 of the size in 4 KiB pages: 0 to 52.
    size: u8,
    base: u64,
}

impl AtcBlock {
    /// Everything.
    pub const ALL: Self = Self { size: 52, base: 0 };

    /// The smallest block that holds both addresses, and is no smaller than `1 << unit` 4 KiB pages.
    const fn holding(first: u64, last: u64, unit: u8) -> Self {
        let size = (log2_of_block(first, last, 12 + unit as u32) - 12) as u8;
        if size >= 52 {
            return Self::ALL;
        }
        Self {
            size,
            base: first >> (12 + size) << (12 + size),
        }
    }

    /// Size, bits 5:0, and address, bits 63:12.
    pub(super) const fn word(self) -> u64 {
        self.base | self.size as u64
    }
}

/// The blocks for one request: one where it is at most twice as large as the request, otherwise two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AtcBlocks {
    blocks: [AtcBlock; 2],
    len: usize,
}

impl AtcBlocks {
    /// Everything.
    pub(super) const ALL: Self = Self {
        blocks: [AtcBlock::ALL; 2],
        len: 1,
    };

    /// The blocks for a request to a device whose smallest translation unit is `1 << stu_shift` bytes. A smaller block
    /// would not be sure to invalidate anything.
    pub(super) const fn new(range: &FlushRange, stu_shift: u8) -> Self {
        let unit = stu_shift.saturating_sub(12);
        match range {
            FlushRange::Pages(pages) if unit < 52 => Self::of_pages(pages, unit),
            _ => Self::ALL,
        }
    }

    const fn of_pages(pages: &PageRange, unit: u8) -> Self {
        let (first, last) = (pages.first().raw(), pages.last_byte().raw());
        match cut(first, last, 12 + unit as u32) {
            None => Self {
                blocks: [AtcBlock::holding(first, last, unit); 2],
                len: 1,
            },
            Some(cut) => Self {
                blocks: [
                    AtcBlock::holding(first, cut - 1, unit),
                    AtcBlock::holding(cut, last, unit),
                ],
                len: 2,
            },
        }
    }

    pub(super) fn as_slice(&self) -> &[AtcBlock] {
        let loses = self.len > 1 && Defect::AtcBlockLost.is_put_back();
        &self.blocks[..if loses { 1 } else { self.len }]
    }
}

#[cfg(test)]
mod tests;
