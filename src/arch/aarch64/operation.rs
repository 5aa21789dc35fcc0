//! The TLBI operations that a range is split into.

use crate::address::VirtAddr;

/// One TLBI of a split range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Operation {
    /// The entry that translates this address.
    Page(VirtAddr),
    /// `(num + 1) << (5 * scale + 1)` pages from `base` on; `scale` is at most 3, `num` at most 31.
    Range {
        /// The first address.
        base: VirtAddr,
        /// SCALE.
        scale: u8,
        /// NUM.
        num: u8,
    },
}

impl Operation {
    /// `units` units of `scale` from `base` on; there are 1 to 32, and NUM is one less.
    pub(super) const fn range(base: u64, scale: u8, units: u64) -> Self {
        Self::Range {
            base: VirtAddr::new(base),
            scale,
            num: (units - 1) as u8,
        }
    }
}

/// Pages in one unit of NUM.
pub(super) const fn unit(scale: u8) -> u64 {
    1 << (5 * scale + 1)
}

/// Whether a range operation may begin here under LPA2.
pub(super) const fn is_aligned_64k(addr: u64) -> bool {
    addr & 0xffff == 0
}
