//! Pages and tables that go, and the end of a process.

use crate::harness::{Kernel, Machine, P, Page, Spent, table_range};
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::change::{Call, PutOff, Reason};
use tlb_shootdown::ticket::Item;
use tlb_shootdown_model::memory::descriptor::Rights::ReadWrite;

const BASE: u64 = 0x4000_0000;

/// munmap and MADV_DONTNEED: entries are cleared, and everything waits for the end of the gather.
pub(crate) fn munmap<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 4, PageSize::KIB_4, ReadWrite);
    let neighbour = k.map_new(P, BASE + 0x10_0000, 1, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.warm(P, &neighbour);
    k.begin();
    let decision = k.decide(Reason::Unmap, PutOff::UntilReuse);
    let mut gather = k.gather();
    for (n, page) in pages.iter().enumerate() {
        k.unmap(P, page);
        // The reverse mapping of a dirty page goes after the flush, in the same gather.
        match n {
            0 => gather.unmap_dirty(page),
            _ => gather.unmap(page),
        }
    }
    k.is_put_off(&decision, P, &pages);
    k.shows_pending(P, true);
    k.finish(gather);
    k.shows_pending(P, false);
    k.has_spent(Spent::once([1, 8, 6], [0, 1, 0], [2, 2, 2, 4]));
    k.has_freed(&pages, &[]);
    k.has_unlinked(&pages[..1]);
    k.maps_nothing(P, &pages);
    k.maps(P, &neighbour[0]);
}

/// The table that the last pages were in goes with them, in the same gather; another takes its place.
pub(crate) fn table_free<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 2, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::TableFreed, PutOff::UntilReuse);
    let mut gather = k.gather();
    for page in &pages {
        k.unmap(P, page);
        gather.unmap(page);
    }
    let tables = k.unhang(P, BASE);
    for &table in &tables {
        gather.free_table(table_range(BASE), table);
    }
    k.is_put_off(&decision, P, &pages);
    k.finish(gather);
    // Two runs, the pages and what the table covered, under one mend on POWER9. A CPU that is asked of both drops the space at once. A link
    // is told to drop the process.
    k.has_spent(Spent::once([2, 4, 5], [0, 2, 0], [4, 4, 4, 1]));
    k.has_freed(&pages, &tables);
    k.maps_nothing(P, &pages);
    // Whoever kept the old table in a walk cache finds nothing here.
    let again = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadWrite);
    k.settle(P);
    k.maps(P, &again[0]);
}

/// exit_mmap: the device is silenced first, and the space ends with all its memory. Linux elides the flush where an identifier is dropped.
pub(crate) fn exit_mmap<M: Machine>(k: &mut Kernel<M>) {
    let mut pages = k.map_new(P, BASE, 3, PageSize::KIB_4, ReadWrite);
    pages.extend(k.map_new(P, BASE + 0x4000_0000, 1, PageSize::MIB_2, ReadWrite));
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::SpaceExit, PutOff::UntilReuse);
    assert_eq!(decision.call(), Call::Retire);
    let tables = k.every_table(P, &pages);
    k.stop_running_p();
    k.is_unflushed();
    let frames = pages.iter().map(Page::item);
    let tables_free = tables.iter().map(|&base| Item::Table {
        base: PhysAddr::new(base),
    });
    let items: Vec<Item> = frames.chain(tables_free).collect();
    k.retire(P, &items);
    // The identifier is flushed, and dropped by each CPU that is asked to leave: on x86-64 by loading another root, on POWER9 set by set,
    // of which there are 128. Beside the TLBs an SMMU and a VT-d unit drop what leads to the table.
    k.has_spent(Spent {
        releases: true,
        ..Spent::once([3, 0, 131], [2, 1, 1], [3, 3, 2, 1])
    });
    k.has_freed(&pages, &tables);
    // Promise 10: no flush follows, and nobody walks it.
    for page in &pages {
        (0..3).for_each(|cpu| k.cpu_reads(cpu, page.va, None));
        k.device_reads(P, page.va, None);
    }
}

/// A mapping of huge pages goes, in their own size.
pub(crate) fn hugetlb_unmap<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 2, PageSize::MIB_2, ReadWrite);
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::Unmap, PutOff::UntilReuse);
    let mut gather = k.gather();
    for page in &pages {
        k.unmap(P, page);
        gather.unmap(page);
    }
    k.is_put_off(&decision, P, &pages);
    k.finish(gather);
    k.has_spent(Spent::once([1, 4, 4], [0, 1, 0], [2, 2, 2, 2]));
    k.has_freed(&pages, &[]);
    k.maps_nothing(P, &pages);
}
