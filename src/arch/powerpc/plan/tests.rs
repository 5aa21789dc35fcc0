//! Coverage: whatever entry may have changed, the plan removes it.

use super::*;
use crate::address::VirtAddr;
use crate::property::properties;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const BASES: [PageSize; 2] = [PageSize::KIB_4, PageSize::KIB_64];

fn runs(plan: &Plan) -> Vec<Run> {
    match plan {
        Plan::Pages { runs, .. } => runs.iter().flatten().copied().collect(),
        Plan::Process { .. } => Vec::new(),
    }
}

/// Whether an invalidation by address removes the entry of this size that translates the address.
fn is_hit(plan: &Plan, addr: u64, page: Page) -> bool {
    let base = addr & !(page.size().bytes() - 1);
    let hits = |run: &Run| run.page == page && run.each().any(|each| each.raw() == base);
    matches!(plan, Plan::Process { .. }) || runs(plan).iter().any(hits)
}

fn flushes() -> impl Strategy<Value = (PageRange, Option<PageSize>, PageSize)> {
    let stride = prop::sample::select(vec![12_u8, 16, 21, 30]);
    let promised = prop::option::of(prop::sample::select(Page::ALL.to_vec()));
    let base = prop::sample::select(BASES.to_vec());
    (0_u64..1 << 40, 1_u64..0x80_0000, stride, promised, base).prop_map(
        |(start, len, stride, promised, base)| {
            let stride = PageSize::from_shift(stride).expect("a size");
            let range = PageRange::from_len(VirtAddr::new(start), len, stride).expect("a range");
            // What the engine refuses does not come here.
            let promised = promised.filter(|page| is_in_tables(*page, base));
            (range, promised.map(Page::size), base)
        },
    )
}

properties! {
    /// An entry that overlaps the range, of any size that the stride and the promise leave possible, is hit at either end.
    #[test]
    fn promise_03_every_entry_that_may_have_changed_is_hit((pages, promised, base) in flushes()) {
        let entries = Entries { depth: Depth::Leaf, leaf_size: promised, promised_size: promised };
        let plan = Plan::of(&pages, entries, base, u64::MAX);
        for page in Page::ALL {
            let possible = is_in_tables(page, base)
                && promised.is_none_or(|size| size == page.size())
                && (promised.is_some() || page.size() >= pages.stride().min(PageSize::GIB_1) || page.size() == base && pages.stride() < PageSize::MIB_2);
            if possible {
                prop_assert!(is_hit(&plan, pages.first().raw(), page), "{page:?} at the start");
                prop_assert!(is_hit(&plan, pages.last_byte().raw(), page), "{page:?} at the end");
            }
        }
    }

    /// Nothing beside the pages that overlap the range is hit, and none twice.
    #[test]
    fn promise_11_nothing_else_is_hit((pages, promised, base) in flushes()) {
        let entries = Entries { depth: Depth::Leaf, leaf_size: promised, promised_size: promised };
        for run in runs(&Plan::of(&pages, entries, base, u64::MAX)) {
            let size = run.page.size().bytes();
            prop_assert!(run.each().all(|addr| addr.raw() <= pages.last_byte().raw()
                && addr.raw() + (size - 1) >= pages.first().raw()));
            prop_assert!(is_in_tables(run.page, base));
            prop_assert_eq!(run.pages.stride(), run.page.size());
        }
    }

    /// The ceiling counts what would be issued.
    #[test]
    fn promise_11_ceiling_is_kept((pages, promised, base) in flushes(), ceiling in 1_u64..64) {
        let entries = Entries { depth: Depth::Tables, leaf_size: None, promised_size: promised };
        let total: u64 = runs(&Plan::of(&pages, entries, base, u64::MAX)).iter().map(|run| run.pages.count()).sum();
        let plan = Plan::of(&pages, entries, base, ceiling);
        prop_assert_eq!(matches!(plan, Plan::Process { depth: Depth::Tables }), total > ceiling);
    }
}

#[test]
fn last_invalidation_of_a_plan_is_its_largest_size_at_the_end() {
    let pages = PageRange::from_len(VirtAddr::new(0x4020_5000), 0x3000, PageSize::KIB_4).unwrap();
    let unknown = Entries {
        depth: Depth::Leaf,
        leaf_size: None,
        promised_size: None,
    };
    let plan = Plan::of(&pages, unknown, PageSize::KIB_4, 33);
    assert_eq!(plan.last(), Some((VirtAddr::new(0x4000_0000), Page::Gib1)));
    assert_eq!(plan.single(), None);
    let process = Plan::of_flush(&Flush::all(), PageSize::KIB_4, 33);
    assert_eq!((process.last(), process.single()), (None, None));
}

#[test]
fn single_invalidation_is_one_page_of_one_size_without_walk_caches() {
    let page = Flush::page(VirtAddr::new(0x4020_5000), PageSize::KIB_4);
    let base = PageSize::KIB_4;
    let expected = Some((VirtAddr::new(0x4020_5000), Page::Kib4));
    assert_eq!(Plan::of_flush(&page, base, 33).single(), expected);
    let pages = PageRange::from_len(VirtAddr::new(0x4020_5000), 0x2000, base).unwrap();
    let several = Flush::pages(pages).leaf_only().leaf_size(base);
    let tables = Flush::pages(PageRange::page(VirtAddr::new(0x4020_5000), base)).leaf_size(base);
    for flush in [several, tables] {
        assert_eq!(Plan::of_flush(&flush, base, 33).single(), None);
    }
}
