//! Splitting a range of pages into TLBI operations.
//!
//! One range operation covers `(NUM + 1) << (5 * SCALE + 1)` pages from its base on. The split is pure arithmetic: it
//! allocates nothing and knows neither ASIDs nor instructions.

use super::granule::{Granule, Tables};
use super::operation::{Operation, is_aligned_64k, unit};
use crate::address::{PageRange, PageSize, VirtAddr};
use crate::defects::Defect;

mod bounded;

/// The most pages that one range operation covers: 32 << 16.
pub const MAX_RANGE_PAGES: u64 = 1 << 21;

/// How few operations a range may become, and what they may hit beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RangePolicy {
    /// Nothing but the range, in at most 5 operations (20 with LPA2, where the start is not on a 64 KiB boundary).
    #[default]
    Exact,
    /// At most 2 operations that hit at most 3 % more pages than asked; where there are no such two, as `Exact`.
    Bounded,
}

/// What the CPUs and the tables allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rules {
    /// The shape of the tables.
    pub tables: Tables,
    /// Every CPU has FEAT_TLBIRANGE.
    pub range_operations: bool,
    /// The trade-off asked for.
    pub policy: RangePolicy,
}

/// The operations of a split range, in ascending order of address unless two overlap.
#[derive(Clone, Debug)]
pub struct Operations {
    rules: Rules,
    base: u64,
    /// Pages left; always a multiple of `step`.
    pages: u64,
    /// Pages that one operation by address covers.
    step: u64,
    scale: u8,
    planned: Option<bounded::Plan>,
}

/// Splits `pages` into operations; `None` where one operation on the whole address space is cheaper.
///
/// `entry` is the size of the smallest leaf entry in the range: one operation by address is enough for so many bytes. The
/// range is rounded outward to it, which a level hint needs as well: a range operation whose base is not aligned to
/// the hinted level need not invalidate anything.
pub fn split(pages: &PageRange, entry: PageSize, rules: Rules) -> Option<Operations> {
    let granule = rules.tables.granule;
    let entry = granule.member_size(entry);
    let rounded = pages.with_stride(entry);
    let step = entry.bytes() / granule.page_size().bytes();
    let operations = Operations {
        rules,
        base: rounded.first().raw(),
        pages: rounded.count().saturating_mul(step),
        step,
        scale: 3,
        planned: None,
    };
    if operations.too_many(granule, rounded.count()) {
        return None;
    }
    Some(operations.with_plan())
}

impl Operations {
    /// Without range operations the limit keeps interrupts from being held off for too long: a full table of them. With range
    /// operations it is what one of them covers, unless there are few but very large entries.
    fn too_many(&self, granule: Granule, entries: u64) -> bool {
        const FEW: u64 = 5;
        if self.rules.range_operations {
            self.pages > MAX_RANGE_PAGES && entries > FEW
        } else {
            entries >= granule.entries_per_table() && !Defect::TlbisUnlimited.is_put_back()
        }
    }

    fn with_plan(mut self) -> Self {
        if self.rules.policy == RangePolicy::Bounded && self.in_ranges() {
            self.planned = bounded::plan(self.base, self.pages, self.step, self.rules.tables);
        }
        self
    }

    /// Whether range operations apply to what is left: more than one entry, and not beyond what NUM can say.
    fn in_ranges(&self) -> bool {
        self.rules.range_operations && self.pages > self.step && self.pages <= MAX_RANGE_PAGES
    }

    fn single(&mut self) -> Operation {
        let base = VirtAddr::new(self.base);
        self.advance(self.step);
        Operation::Page(base)
    }

    /// The largest operation that fits into what is left, two pages or more: those are a unit of the smallest scale. Scales go down, so
    /// that after the first one every base stays aligned to 64 pages until the last two operations, and so that NUM never passes 31.
    fn largest(&mut self) -> Operation {
        while self.pages < unit(self.scale) {
            self.scale -= 1;
        }
        let units = self.pages / unit(self.scale);
        let operation = Operation::range(self.base, self.scale, units);
        self.advance(units * unit(self.scale));
        operation
    }

    fn advance(&mut self, pages: u64) {
        let bytes = pages << self.rules.tables.granule.page_size().shift();
        // The last page of the address space ends at 2^64.
        self.base = self.base.wrapping_add(bytes);
        self.pages -= pages;
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        if let Some(plan) = &mut self.planned {
            return plan.next();
        }
        let skips = self.pages == MAX_RANGE_PAGES && Defect::RangeOf32UnitsSkipped.is_put_back();
        if self.pages == 0 || skips {
            return None;
        }
        let misaligned = self.rules.tables.lpa2 && !is_aligned_64k(self.base);
        if !self.in_ranges() || misaligned {
            Some(self.single())
        } else {
            Some(self.largest())
        }
    }
}
