//! What a body draws from its bytes. Where they end, everything is zero: the first choice, the smallest number.

use arbitrary::Unstructured;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;

/// The bytes that are left.
pub(crate) struct Input<'a>(Unstructured<'a>);

/// The addresses that requests are drawn from: `1 << bits` bytes from `base` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) base: u64,
    pub(crate) bits: u32,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.int_in_range(0..=end - 1).unwrap_or(0)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A run of pages with one of these strides: anywhere, at either end of the space, or around a boundary of some power of two.
    pub(crate) fn pages(&mut self, space: Space, strides: &[u8]) -> PageRange {
        let shift = self.pick(strides);
        let room = 1 << (space.bits - u32::from(shift));
        let magnitude = self.below(24);
        let count = (self.below(1 << magnitude) + 1).min(room);
        let last_place = room - count;
        let near = self.below(4).min(last_place);
        let place = match self.below(4) {
            0 => near,
            1 => last_place - near,
            2 => (1u64 << self.below(u64::from(space.bits - u32::from(shift))))
                .saturating_sub(near)
                .min(last_place),
            _ => self.below(last_place + 1),
        };
        let start = VirtAddr::new(space.base + (place << shift));
        let stride = PageSize::from_shift(shift).expect("a size");
        PageRange::inclusive(
            start,
            VirtAddr::new(start.raw() + ((count << shift) - 1)),
            stride,
        )
        .expect("not empty")
    }

    /// A request for some pages, with promises or without: every combination is one that a caller may make.
    pub(crate) fn flush(&mut self, space: Space, strides: &[u8]) -> Flush {
        let mut flush = Flush::pages(self.pages(space, strides));
        if self.flag() {
            flush = flush.leaf_only();
        }
        if self.flag() {
            let leaf = PageSize::from_shift(self.pick(strides)).expect("a size");
            flush = flush.leaf_size(leaf);
        }
        flush
    }
}
