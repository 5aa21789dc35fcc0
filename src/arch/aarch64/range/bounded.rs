//! [`RangePolicy::Bounded`](super::RangePolicy::Bounded): one operation that reaches a little too far, or two that overlap.
//!
//! Two operations that overlap inside the range hit nothing else: the first covers as many units of the largest scale as
//! fit, the second covers the remainder and is placed so that it ends where the range ends. Only LPA2, whose bases
//! lie on 64 KiB boundaries, can make the second one reach further.

use crate::address::VirtAddr;
use crate::arch::aarch64::granule::Tables;
use crate::arch::aarch64::operation::{Operation, is_aligned_64k, unit};

/// At most two operations.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    first: Option<Operation>,
    second: Option<Operation>,
}

impl Iterator for Plan {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        self.first.take().or_else(|| self.second.take())
    }
}

/// The range with its start moved down to where an operation may begin.
struct Request {
    base: u64,
    pages: u64,
    step: u64,
    tables: Tables,
    /// Pages that may still be hit without having been asked for.
    spare: u64,
}

/// At most two operations within 3 % of `pages`, which is at least twice `step` and at most 2^21; `None` where there are none.
pub(super) fn plan(base: u64, pages: u64, step: u64, tables: Tables) -> Option<Plan> {
    let spare = pages * 3 / 100;
    let head = if tables.lpa2 {
        (base & 0xffff) >> tables.granule.page_size().shift()
    } else {
        0
    };
    let request = Request {
        base: base - (head << tables.granule.page_size().shift()),
        pages: pages + head,
        step,
        tables,
        spare: spare.checked_sub(head)?,
    };
    request.one().or_else(|| request.two())
}

impl Request {
    fn one(&self) -> Option<Plan> {
        let (scale, units) = cover(self.pages)?;
        let covered = units * unit(scale);
        if covered - self.pages > self.spare || !self.stays_in_half(covered) {
            return None;
        }
        Some(Plan {
            first: Some(Operation::range(self.base, scale, units)),
            second: None,
        })
    }

    fn two(&self) -> Option<Plan> {
        let scale = (0..=3).rev().find(|&scale| unit(scale) <= self.pages)?;
        let units = self.pages / unit(scale);
        let rest = self.pages - units * unit(scale);
        let second = match rest {
            0 => None,
            rest => Some(self.tail(rest)?),
        };
        Some(Plan {
            first: Some(Operation::range(self.base, scale, units)),
            second,
        })
    }

    /// An operation for the last `rest` pages, less than a unit of the first one.
    fn tail(&self, rest: u64) -> Option<Operation> {
        if rest <= self.step {
            return Some(Operation::Page(VirtAddr::new(
                self.at(self.pages - self.step),
            )));
        }
        let (scale, units) = cover(rest)?;
        let start = self.pages - units * unit(scale);
        let base = self.at(start);
        if !self.tables.lpa2 || is_aligned_64k(base) {
            return Some(Operation::range(base, scale, units));
        }
        // Moved up to the next boundary it reaches beyond the end by as much as it moved, and stays in the half: what it is to cover
        // begins on such a boundary, so that it either moves by one page, where the end is at an odd one, or is made of units of 64
        // pages and ends on the boundary that follows the end.
        let aligned = (base | 0xffff).wrapping_add(1);
        let beyond = (aligned.wrapping_sub(base)) >> self.page_shift();
        (beyond <= self.spare).then(|| Operation::range(aligned, scale, units))
    }

    fn at(&self, page: u64) -> u64 {
        self.base.wrapping_add(page << self.page_shift())
    }

    fn page_shift(&self) -> u8 {
        self.tables.granule.page_size().shift()
    }

    /// Whether so many pages from the base on end before the next 2^48 boundary, beyond which the other half or the hole
    /// may begin.
    fn stays_in_half(&self, pages: u64) -> bool {
        let last = self.at(pages).wrapping_sub(1);
        (self.base ^ last) >> 48 == 0
    }
}

/// The smallest single operation for so many pages: SCALE and NUM + 1.
fn cover(pages: u64) -> Option<(u8, u64)> {
    (0..=3)
        .map(|scale| (scale, pages.div_ceil(unit(scale))))
        .find(|&(_, units)| units <= 32)
}
