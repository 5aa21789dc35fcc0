//! Which pages there are: small ones in two tables of the last level, and perhaps large ones beside them.

use std::collections::BTreeSet;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

/// Small pages of each half: 8 for each of two tables.
const SMALL: u64 = 16;
const USER: u64 = 0x4000_0000;

/// Whose mappings: those of a process, or the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    User(usize),
    Kernel,
}

/// Where the pages of a machine lie, and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Of the last level.
    pub(crate) base: PageSize,
    /// Pages of 2 MiB.
    pub(crate) large: u64,
    /// The kernel's first address.
    pub(crate) kernel: u64,
}

impl Layout {
    /// How many pages each half has.
    pub(crate) fn pages(self) -> u64 {
        SMALL + self.large
    }

    pub(crate) fn size(self, page: u64) -> PageSize {
        if page < SMALL {
            self.base
        } else {
            PageSize::MIB_2
        }
    }

    pub(crate) fn address(self, half: Half, page: u64) -> u64 {
        let start = match half {
            Half::User(_) => USER,
            Half::Kernel => self.kernel,
        };
        match page.checked_sub(SMALL) {
            None => start + ((page / 8) << 21) + page % 8 * self.base.bytes(),
            Some(large) => start + ((2 + large) << 21),
        }
    }

    /// The first and the last byte of a page.
    pub(crate) fn span(self, half: Half, page: u64) -> (u64, u64) {
        let first = self.address(half, page);
        (first, first + (self.size(page).bytes() - 1))
    }

    /// The first and the last byte that a table of small pages translates.
    pub(crate) fn table_span(self, half: Half, table: u64) -> (u64, u64) {
        let first = self.address(half, table * 8);
        (first, first + 0x1f_ffff)
    }

    pub(crate) fn mapping(self, page: u64, frame: u64, rights: Rights) -> Mapping {
        Mapping {
            level: if page < SMALL { 3 } else { 2 },
            ..Mapping::page(frame, rights)
        }
    }

    /// One page, exactly.
    pub(crate) fn exactly(self, half: Half, page: u64) -> Flush {
        Flush::page(VirtAddr::new(self.address(half, page)), self.size(page))
    }

    /// The smallest range of all of these, in steps of a size that divides each of them.
    pub(crate) fn hull(
        self,
        half: Half,
        pages: &BTreeSet<u64>,
        stride: PageSize,
    ) -> Option<PageRange> {
        let (first, last) = (pages.first()?, pages.last()?);
        let start = VirtAddr::new(self.address(half, *first));
        let end = VirtAddr::new(self.span(half, *last).1);
        PageRange::inclusive(start, end, stride).ok()
    }

    /// The size of all of these, where they have the same.
    pub(crate) fn common_size(self, pages: &BTreeSet<u64>) -> Option<PageSize> {
        let size = self.size(*pages.first()?);
        pages
            .iter()
            .all(|page| self.size(*page) == size)
            .then_some(size)
    }
}
