//! What is invalidated for a flush: pages one by one, or the whole process.

use super::command::LeafSize;
use super::config::Config;
use super::requests::Extent;
use crate::address::FlushRange;
use crate::defects::Defect;
use crate::flush::Flush;

/// What to invalidate, and how often the request had to be widened for it.
pub(super) fn plan(flush: &Flush, config: &Config) -> (Extent, u32) {
    let FlushRange::Pages(pages) = flush.range() else {
        return (Extent::Process, 0);
    };
    let Some(size) = leaf_size(flush) else {
        return (Extent::Process, 1);
    };
    let pages = pages.with_stride(size.page_size());
    let first = pages.first().raw();
    let names_page_zero = config.page_zero_by_address || Defect::PageZeroByAddress.is_put_back();
    let too_many =
        pages.count() > u64::from(config.most_pages) && !Defect::LinkRangeUnlimited.is_put_back();
    if too_many || (first == 0 && !names_page_zero) {
        return (Extent::Process, 1);
    }
    let pages = Extent::Pages {
        first,
        count: pages.count(),
        size,
    };
    (pages, 0)
}

/// The size of the leaf entries, where an invalidation by page is to be relied upon.
///
/// Without it the whole process goes: the page size is part of an invalidation by page, and an entry of another size would stay. So it
/// does where tables have changed: RIC = 2 by page drops what is cached of *some* upper entries, and no source says of which.
fn leaf_size(flush: &Flush) -> Option<LeafSize> {
    let size = if Defect::SizePromisedForTables.is_put_back() {
        flush.promised_leaf_size()
    } else {
        flush.known_leaf_size()
    }?;
    let guess = Defect::OddSizesAs64Kib.is_put_back();
    LeafSize::new(size).or(guess.then_some(LeafSize::Kib64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{PageRange, PageSize, VirtAddr};

    const CONFIG: Config = Config::power9();

    fn page(addr: u64, size: PageSize) -> Flush {
        Flush::page(VirtAddr::new(addr), size)
    }

    fn pages(start: u64, count: u64, size: PageSize) -> PageRange {
        let bytes = count << size.shift();
        PageRange::from_len(VirtAddr::new(start), bytes, size).expect("not empty")
    }

    fn by_page(first: u64, count: u64, size: LeafSize) -> (Extent, u32) {
        (Extent::Pages { first, count, size }, 0)
    }

    const WHOLE: (Extent, u32) = (Extent::Process, 1);

    #[test]
    fn every_leaf_size_is_invalidated_by_page() {
        let sizes = [
            (PageSize::KIB_4, LeafSize::Kib4),
            (PageSize::KIB_64, LeafSize::Kib64),
            (PageSize::MIB_2, LeafSize::Mib2),
            (PageSize::GIB_1, LeafSize::Gib1),
        ];
        for (size, leaf) in sizes {
            let flush = page(0x7f_4000_0000, size);
            assert_eq!(plan(&flush, &CONFIG), by_page(0x7f_4000_0000, 1, leaf));
        }
    }

    /// Linux codes them as 64 KiB.
    #[test]
    fn promise_11_sizes_that_radix_tables_lack_are_the_whole_process() {
        for size in [PageSize::KIB_16, PageSize::MIB_32, PageSize::MIB_512] {
            assert_eq!(plan(&page(0x4000_0000, size), &CONFIG), WHOLE);
        }
    }

    #[test]
    fn promise_08_unknown_sizes_and_tables_are_the_whole_process() {
        let pages = pages(0x10_0000, 2, PageSize::KIB_4);
        assert_eq!(plan(&Flush::pages(pages).leaf_only(), &CONFIG), WHOLE);
        let sized = Flush::pages(pages).leaf_size(PageSize::KIB_4);
        assert_eq!(plan(&sized, &CONFIG), WHOLE);
        let known = sized.leaf_only();
        assert_eq!(plan(&known, &CONFIG), by_page(0x10_0000, 2, LeafSize::Kib4));
    }

    #[test]
    fn promise_11_more_pages_than_the_ceiling_are_the_whole_process() {
        let of = |count| {
            let pages = pages(0x10_0000, count, PageSize::KIB_4);
            plan(
                &Flush::pages(pages).leaf_only().leaf_size(PageSize::KIB_4),
                &CONFIG,
            )
        };
        assert_eq!(of(8), by_page(0x10_0000, 8, LeafSize::Kib4));
        assert_eq!(of(9), WHOLE);
        assert_eq!(of(1 << 40), WHOLE);
        assert_eq!(plan(&Flush::all(), &CONFIG), (Extent::Process, 0));
    }

    /// Small strides over large leaves are rounded outward, and counted in leaves.
    #[test]
    fn a_range_is_counted_in_leaves() {
        let pages = pages(0x20_1000, 512, PageSize::KIB_4);
        let flush = Flush::pages(pages).leaf_only().leaf_size(PageSize::MIB_2);
        assert_eq!(plan(&flush, &CONFIG), by_page(0x20_0000, 2, LeafSize::Mib2));
    }

    #[test]
    fn promise_11_page_zero_is_the_whole_process_unless_told_otherwise() {
        for size in [PageSize::KIB_4, PageSize::MIB_2] {
            assert_eq!(plan(&page(0, size), &CONFIG), WHOLE);
        }
        let by_address = Config {
            page_zero_by_address: true,
            ..CONFIG
        };
        assert_eq!(
            plan(&page(0, PageSize::KIB_4), &by_address),
            by_page(0, 1, LeafSize::Kib4)
        );
    }
}
