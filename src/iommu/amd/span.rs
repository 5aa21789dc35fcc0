//! The address operand that the commands for the IOMMU's TLB and for device TLBs share (AMD 48882 2.4.3, 2.4.4).

use crate::address::{FlushRange, PageRange};
use crate::defects::Defect;
use crate::iommu::block::{cut, log2_of_block};

/// S: the address also says how large the block is.
const SIZED: u64 = 1 << 0;
/// The address that stands for everything: the lowest zero bit from 12 upward is bit 63.
const EVERYTHING: u64 = 0x7fff_ffff_ffff_f000;
/// log2 of the smallest and the largest block.
const PAGE: u32 = 12;
const LARGEST: u32 = 51;

/// One naturally aligned power-of-two block of addresses.
///
/// A block of 2^k bytes is written as its address with bits k-2 down to 12 set and bit k-1 clear: the IOMMU takes the lowest zero
/// bit from 12 upward for half the size. A single page has no bits to spare for that and is written without S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Span(u64);

impl Span {
    /// Everything.
    pub const ALL: Self = Self(EVERYTHING | SIZED);

    /// The smallest block that holds both addresses.
    pub const fn holding(first: u64, last: u64) -> Self {
        let log2 = log2_of_block(first, last, PAGE);
        if log2 > LARGEST {
            return Self::ALL;
        }
        let base = first >> log2 << log2;
        if log2 == PAGE {
            return Self(base);
        }
        Self(base | ((1 << (log2 - 1)) - 1) & !0xfff | SIZED)
    }

    /// The bits of the second command word.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// The blocks for one request: one where it is at most twice as large as the request, otherwise two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spans {
    spans: [Span; 2],
    len: usize,
}

impl Spans {
    /// Everything.
    pub(super) const ALL: Self = Self::one(Span::ALL);

    /// The blocks for a request.
    pub(super) const fn new(range: &FlushRange) -> Self {
        match range {
            FlushRange::All => Self::ALL,
            FlushRange::Pages(pages) => Self::of_pages(pages),
        }
    }

    const fn one(span: Span) -> Self {
        Self {
            spans: [span; 2],
            len: 1,
        }
    }

    const fn of_pages(pages: &PageRange) -> Self {
        let (first, last) = (pages.first().raw(), pages.last_byte().raw());
        match cut(first, last, PAGE) {
            None => Self::one(Span::holding(first, last)),
            Some(cut) => Self {
                spans: [Span::holding(first, cut - 1), Span::holding(cut, last)],
                len: 2,
            },
        }
    }

    pub(super) fn as_slice(&self) -> &[Span] {
        let loses = self.len > 1 && Defect::AmdBlockLost.is_put_back();
        &self.spans[..if loses { 1 } else { self.len }]
    }

    pub(super) const fn len(&self) -> u64 {
        self.len as u64
    }

    /// Whether more than twice a request was taken for it: everything, for so wide a range that no block holds it.
    pub(super) fn widen(&self, range: &FlushRange) -> bool {
        matches!(range, FlushRange::Pages(_)) && self.as_slice().contains(&Span::ALL)
    }
}

#[cfg(test)]
mod tests;
