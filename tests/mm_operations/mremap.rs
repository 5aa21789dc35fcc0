//! Pages that move to another address.

use crate::harness::{Kernel, Machine, P, Page, Spent, span, table_range};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::change::{PutOff, Reason};
use tlb_shootdown_model::memory::descriptor::Rights::ReadWrite;

const BASE: u64 = 0x4000_0000;
const NEW: u64 = 0x8000_0000;
const BLOCK: u64 = 0x20_0000;

fn moved(pages: &[Page], from: u64, to: u64) -> Vec<Page> {
    let moved = |page: &Page| Page {
        va: page.va - from + to,
        ..*page
    };
    pages.iter().map(moved).collect()
}

/// Entries one by one, then a whole table; each under both page-table locks, and flushed before they are dropped: others find the pages at
/// their new address alone from there on.
pub(crate) fn mremap<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 3, PageSize::KIB_4, ReadWrite);
    let in_table = k.map_new(P, BASE + BLOCK, 2, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.warm(P, &in_table);
    k.begin();
    let decision = k.decide(Reason::EntriesMoved, PutOff::UntilTableUnlocked);
    let new = moved(&pages, BASE, NEW);
    for (old, new) in pages.iter().zip(&new) {
        k.unmap(P, old);
        k.map(P, new, ReadWrite);
    }
    k.is_put_off(&decision, P, &pages);
    k.flush(P, &decision, span(&pages), Some(PageSize::KIB_4));

    let decision = k.decide(Reason::TableMoved, PutOff::UntilTableUnlocked);
    let new_in_table = moved(&in_table, BASE, NEW);
    let tables = k.unhang(P, BASE + BLOCK);
    k.hang(P, NEW + BLOCK, 2, &tables);
    let covered = table_range(BASE + BLOCK);
    k.flush(P, &decision, covered, Some(PageSize::KIB_4));
    k.has_spent(Spent {
        rounds: 2,
        ..Spent::once([3, 8, 8], [0, 3, 0], [4, 4, 4, 4])
    });
    k.maps_nothing(P, &pages);
    k.maps_nothing(P, &in_table);
    for page in new.iter().chain(&new_in_table) {
        k.maps(P, page);
    }
    k.has_freed(&[], &[]);
}
