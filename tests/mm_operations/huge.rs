//! Huge pages made, split, zapped and moved, and tables that two processes share.

use crate::harness::{Kernel, Machine, P, Page, Q, Spent, table_range};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::change::{PutOff, Reason};
use tlb_shootdown_model::memory::descriptor::Rights::ReadWrite;

const BASE: u64 = 0x4000_0000;
const NEW: u64 = 0x8000_0000;

/// The huge page becomes a table of small ones that map the same memory.
pub(crate) fn thp_split<M: Machine>(k: &mut Kernel<M>) {
    let huge = k.map_new(P, BASE, 1, PageSize::MIB_2, ReadWrite)[0];
    k.warm(P, &[huge]);
    let small = |n| {
        let offset = n * 0x1000;
        Page {
            va: huge.va + offset,
            size: PageSize::KIB_4,
            frame: huge.frame + offset,
            word: huge.word + n,
        }
    };
    let pages: Vec<Page> = (0..512).map(small).collect();
    for page in &pages {
        k.model.poke(page.frame, page.word);
    }
    k.begin();
    let decision = k.decide(Reason::Split, PutOff::No);
    k.replace(
        &decision,
        huge.range(),
        Some(PageSize::MIB_2),
        |k| k.unmap(P, &huge),
        |k| k.map_all(P, &pages, ReadWrite),
    );
    k.has_spent(Spent::once([1, 2, 3], [0, 1, 0], [2, 2, 2, 1]));
    for page in [&pages[0], &pages[7], &pages[511]] {
        k.maps(P, page);
    }
}

/// Small pages are copied into a huge one, whose entry takes the place of their table. Linux on POWER with 64 KiB pages tells no device.
pub(crate) fn thp_collapse<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 3, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    let huge = k.new_page(BASE, PageSize::MIB_2);
    k.begin();
    let decision = k.decide(Reason::Collapse, PutOff::No);
    let mut tables = Vec::new();
    k.replace(
        &decision,
        table_range(BASE),
        Some(PageSize::KIB_4),
        |k| tables = k.unhang(P, BASE),
        |k| {
            for page in &pages {
                let copy = huge.frame + (page.va - BASE);
                k.model.poke(copy, k.model.peek(page.frame));
            }
            k.map(P, &huge, ReadWrite);
        },
    );
    // More pages than one by one: all of the space, but for AArch64 and its range.
    k.has_spent(Spent::once([1, 2, 3], [0, 2, 0], [2, 2, 2, 1]));
    // Walkers without a lock are held off by no broadcast.
    k.sync_lockless_walkers();
    tables.iter().for_each(|&table| k.model.free(table));
    for page in &pages {
        k.model.free(page.frame);
        k.maps(P, page);
    }
    k.settle(P);
}

/// A huge page goes with its gather; another moves, under both page-table locks.
pub(crate) fn thp_zap_and_move<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 2, PageSize::MIB_2, ReadWrite);
    let [zapped, old] = [pages[0], pages[1]];
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::Unmap, PutOff::UntilReuse);
    let mut gather = k.gather();
    k.unmap(P, &zapped);
    gather.unmap(&zapped);
    k.is_put_off(&decision, P, &[zapped]);
    k.finish(gather);
    k.has_freed(&[zapped], &[]);

    let decision = k.decide(Reason::EntriesMoved, PutOff::UntilTableUnlocked);
    let new = Page { va: NEW, ..old };
    k.unmap(P, &old);
    k.map(P, &new, ReadWrite);
    k.flush(P, &decision, old.range(), Some(PageSize::MIB_2));
    k.has_spent(Spent {
        rounds: 2,
        ..Spent::once([2, 4, 6], [0, 2, 0], [4, 4, 4, 2])
    });
    k.maps_nothing(P, &pages);
    k.maps(P, &new);
}

/// P gives up a table of huge pages that Q has as well. Once Q is its last sharer it changes the table and flushes itself alone: who
/// kept the table in a walk cache would go on into it.
pub(crate) fn hugetlb_pmd_unshare<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 2, PageSize::MIB_2, ReadWrite);
    let shared = k.tables_at(P, BASE, 1);
    k.hang(Q, BASE, 1, &shared);
    k.warm(P, &pages);
    k.warm(Q, &pages);
    k.begin();
    let decision = k.decide(Reason::TableUnshared, PutOff::UntilTableUnlocked);
    assert_eq!(k.unhang(P, BASE), shared);
    k.is_put_off(&decision, P, &pages);
    let covered = PageRange::from_len(VirtAddr::new(BASE), 1 << 30, PageSize::MIB_2).unwrap();
    k.flush(P, &decision, covered, Some(PageSize::MIB_2));
    k.has_spent(Spent::once([1, 2, 3], [0, 2, 0], [2, 2, 2, 1]));
    k.sync_lockless_walkers();
    k.maps_nothing(P, &pages);
    pages.iter().for_each(|page| k.maps(Q, page));

    let decision = k.decide(Reason::Unmap, PutOff::UntilReuse);
    k.unmap(Q, &pages[0]);
    k.flush(Q, &decision, pages[0].range(), Some(PageSize::MIB_2));
    k.model.free(pages[0].frame);
    k.maps_nothing(P, &pages);
    k.maps_nothing(Q, &pages[..1]);
    k.maps(Q, &pages[1]);
}
