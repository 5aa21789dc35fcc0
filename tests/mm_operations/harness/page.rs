//! A page as the kernel has it in its books.

use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::change::{Decision, Level};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::Item;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

/// A page, its frame, and the word at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) va: u64,
    pub(crate) size: PageSize,
    pub(crate) frame: u64,
    pub(crate) word: u64,
}

impl Page {
    pub(crate) fn addr(&self) -> VirtAddr {
        VirtAddr::new(self.va)
    }

    pub(crate) fn range(&self) -> PageRange {
        PageRange::page(self.addr(), self.size)
    }

    pub(crate) fn item(&self) -> Item {
        let (base, size) = (PhysAddr::new(self.frame), self.size);
        Item::Frame { base, size }
    }

    pub(crate) fn dirty_item(&self) -> Item {
        let (base, size) = (PhysAddr::new(self.frame), self.size);
        Item::DirtyFrame { base, size }
    }

    /// Its flush, by itself.
    pub(crate) fn flush(&self, decision: &Decision) -> Flush {
        decision.flush(self.range(), Some(self.size))
    }

    pub(super) fn mapping(&self, rights: Rights, global: bool) -> Mapping {
        Mapping {
            pa: self.frame,
            rights,
            level: if self.size == PageSize::MIB_2 { 2 } else { 3 },
            global,
        }
    }

    pub(super) fn level(&self) -> Level {
        match self.size {
            PageSize::KIB_4 => Level::PageTable,
            _ => Level::Directory,
        }
    }
}

/// What these pages cover, from the first to the last, in the stride of the first.
pub(crate) fn span(pages: &[Page]) -> PageRange {
    let (first, last) = (pages.first().unwrap(), pages.last().unwrap());
    PageRange::inclusive(first.addr(), last.addr(), first.size).unwrap()
}

/// What a table of pages covers in which this address lies.
pub(crate) fn table_range(va: u64) -> PageRange {
    PageRange::page(VirtAddr::new(va), PageSize::MIB_2).with_stride(PageSize::KIB_4)
}
