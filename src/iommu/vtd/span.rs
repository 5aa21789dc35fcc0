//! The blocks by which IOMMU TLBs and device TLBs are invalidated: naturally aligned powers of two.

use crate::address::{FlushRange, PageRange};
use crate::iommu::block::{cut, log2_of_block};

/// One naturally aligned power-of-two block of 4 KiB pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Block {
    /// log2 of the size in pages: 0 to 52.
    mask: u8,
    base: u64,
}

impl Block {
    /// Everything.
    pub const ALL: Self = Self { mask: 52, base: 0 };

    /// The smallest block that holds both addresses.
    pub const fn holding(first: u64, last: u64) -> Self {
        let mask = (log2_of_block(first, last, 12) - 12) as u8;
        Self {
            mask,
            base: first & !Self::offset_mask(mask),
        }
    }

    /// The bits of an address that a block of this size does not look at.
    const fn offset_mask(mask: u8) -> u64 {
        if mask >= 52 {
            u64::MAX
        } else {
            (1 << (12 + mask)) - 1
        }
    }

    const fn last_byte(self) -> u64 {
        self.base | Self::offset_mask(self.mask)
    }

    /// log2 of its size in pages: what CAP.MAMV bounds.
    pub const fn address_mask(self) -> u8 {
        self.mask
    }

    /// Address, bits 63:12, and AM, bits 5:0, of an IOTLB invalidation.
    pub(super) const fn iotlb_word(self) -> u64 {
        self.base | self.mask as u64
    }

    /// Address, bits 63:12, of a device-TLB invalidation, and whether S is set: the lowest address bit that is clear tells the size
    /// then (PCIe ATS 10.3.3). For everything, bit 63 is that bit.
    pub(super) const fn device_word(self) -> (u64, bool) {
        match self.mask {
            0 => (self.base, false),
            mask => (self.base | (Self::offset_mask(mask - 1) & !0xfff), true),
        }
    }
}

/// The blocks for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    blocks: [Block; Blocks::MOST],
    len: usize,
}

impl Blocks {
    /// The most blocks that one request is split into (promise 11).
    pub(super) const MOST: usize = 4;

    /// Everything.
    pub(super) const ALL: Self = Self {
        blocks: [Block::ALL; Self::MOST],
        len: 1,
    };

    /// Nothing.
    pub(super) const NONE: Self = Self {
        len: 0,
        ..Self::ALL
    };

    /// The blocks for a device TLB, whose blocks have any size: one where it is at most twice as large as the request, otherwise two.
    pub(super) const fn for_device(range: &FlushRange) -> Self {
        match range {
            FlushRange::Pages(pages) => Self::of_pages(pages),
            FlushRange::All => Self::ALL,
        }
    }

    /// The blocks for the unit's own TLB, none larger than `1 << most` pages; `None` where that takes too many.
    pub(super) fn for_iotlb(pages: &PageRange, most: u8) -> Option<Self> {
        let mut split = Self::NONE;
        for block in Self::of_pages(pages).as_slice() {
            split.add_parts(*block, pages, most)?;
        }
        Some(split)
    }

    /// Adds the parts of a block that hold any of the pages.
    fn add_parts(&mut self, block: Block, pages: &PageRange, most: u8) -> Option<()> {
        let part = block.mask.min(most);
        let mut base = block.base;
        if block.mask - part > 3 {
            return None;
        }
        for _ in 0..1 << (block.mask - part) {
            let whole = Block { mask: part, base };
            if whole.last_byte() >= pages.first().raw() && base <= pages.last_byte().raw() {
                *self.blocks.get_mut(self.len)? = whole;
                self.len += 1;
            }
            base = whole.last_byte().wrapping_add(1);
        }
        Some(())
    }

    const fn of_pages(pages: &PageRange) -> Self {
        let (first, last) = (pages.first().raw(), pages.last_byte().raw());
        match cut(first, last, 12) {
            None => Self {
                blocks: [Block::holding(first, last); Self::MOST],
                len: 1,
            },
            Some(cut) => {
                let (low, high) = (Block::holding(first, cut - 1), Block::holding(cut, last));
                Self {
                    blocks: [low, high, high, high],
                    len: 2,
                }
            }
        }
    }

    pub(super) fn as_slice(&self) -> &[Block] {
        self.blocks.get(..self.len).unwrap_or(&self.blocks)
    }
}

#[cfg(test)]
mod tests;
