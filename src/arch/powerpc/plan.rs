//! Which invalidations a flush consists of. Pure arithmetic: it knows neither identifiers nor instructions.
//!
//! An invalidation by address removes the entry of exactly the page size that it names. Where the caller has not promised a size, every
//! size that an entry there may have is invalidated.

use super::operand::Page;
use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::arch::Entries;
use crate::flush::{Depth, Flush};

/// Pages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) pages: PageRange,
    pub(super) page: Page,
}

impl Run {
    /// The first address of each page, in ascending order.
    pub(super) fn each(&self) -> impl Iterator<Item = VirtAddr> {
        let (first, stride) = (self.pages.first().raw(), self.pages.stride().bytes());
        (0..self.pages.count()).map(move |n| VirtAddr::new(first + n * stride))
    }
}

/// One for each size that an entry may have, the smallest first.
pub(super) type Runs = [Option<Run>; Page::ALL.len()];

/// What is invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Page by page, walk caches of the process apart.
    Pages { walk_caches: bool, runs: Runs },
    /// Everything of the process at once.
    Process { depth: Depth },
}

impl Plan {
    /// The plan of a range, in at most `ceiling` invalidations of pages.
    pub(super) fn of(pages: &PageRange, entries: Entries, base: PageSize, ceiling: u64) -> Self {
        let mut total = 0_u64;
        let runs = Page::ALL.map(|page| {
            let may_be = may_have(page, pages.stride(), entries.promised_size, base);
            may_be.then(|| {
                let pages = pages.with_stride(page.size());
                total = total.saturating_add(pages.count());
                Run { pages, page }
            })
        });
        if total > ceiling {
            return Self::Process {
                depth: entries.depth,
            };
        }
        let walk_caches = entries.depth == Depth::Tables;
        Self::Pages { walk_caches, runs }
    }

    /// The plan of a whole flush.
    pub(super) fn of_flush(flush: &Flush, base: PageSize, ceiling: u64) -> Self {
        match flush.range() {
            FlushRange::All => Self::Process {
                depth: Depth::Tables,
            },
            FlushRange::Pages(pages) => Self::of(pages, Entries::from(flush), base, ceiling),
        }
    }

    /// The invalidation by address that it consists of, where it is that one alone.
    pub(super) fn single(&self) -> Option<(VirtAddr, Page)> {
        let Self::Pages {
            walk_caches: false,
            runs,
        } = self
        else {
            return None;
        };
        let mut all = runs.iter().flatten();
        let run = all.next().filter(|run| run.pages.count() == 1)?;
        all.next()
            .is_none()
            .then_some((run.pages.first(), run.page))
    }

    /// The invalidation by address that comes last, where there is one.
    pub(super) fn last(&self) -> Option<(VirtAddr, Page)> {
        match self {
            Self::Pages { runs, .. } => {
                let run = runs.iter().flatten().next_back()?;
                Some((run.pages.last(), run.page))
            }
            Self::Process { .. } => None,
        }
    }
}

/// Whether an entry of the range may have this size. The stride is the distance between two entries that changed: none of them is
/// smaller than the largest page size within it.
fn may_have(page: Page, stride: PageSize, promised: Option<PageSize>, base: PageSize) -> bool {
    match promised.and_then(Page::of) {
        Some(promised) => page == promised,
        None => is_in_tables(page, base) && page.size() >= largest_within(stride, base),
    }
}

fn is_in_tables(page: Page, base: PageSize) -> bool {
    page.size() == base || page.size() > PageSize::KIB_64
}

fn largest_within(stride: PageSize, base: PageSize) -> PageSize {
    let within = |page: &Page| is_in_tables(*page, base) && page.size() <= stride;
    let largest = Page::ALL.into_iter().rev().find(within);
    largest.map_or(base, Page::size)
}

#[cfg(all(test, not(loom)))]
mod tests;
