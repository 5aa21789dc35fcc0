//! Memory that is taken back, moved, or looked at to see whether it is used.

use crate::harness::{Kernel, Machine, P, Page, Q, Spent, span};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::change::{Call, Cpus, PutOff, Reason, Told};
use tlb_shootdown_model::memory::descriptor::Rights::ReadWrite;

const BASE: u64 = 0x4000_0000;
const WRITTEN: u64 = 0x7777;

/// The device, and another CPU where there is none, writes to a page that is unmapped and not flushed: the write may be lost only if the access
/// faulted. What the frame holds then.
fn write_in_the_window<M: Machine>(k: &mut Kernel<M>, page: &Page) -> Page {
    let by_device = k.device_write(P, page.va, WRITTEN);
    let was_written = match by_device {
        Some(written) => written.is_ok(),
        None => k.model.cpu(k.other_cpu(P)).write(page.va, WRITTEN).is_ok(),
    };
    assert!(was_written || !k.is_predictable());
    Page {
        word: if was_written { WRITTEN } else { page.word },
        ..*page
    }
}

/// Dirty pages of two processes in one batch: one shootdown for both, before the I/O starts. Linux tells devices when a page is added.
pub(crate) fn reclaim_unmap<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 2, PageSize::KIB_4, ReadWrite);
    let others = k.map_new(Q, BASE, 1, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.warm(Q, &others);
    k.begin();
    let decision = k.decide(Reason::UnmapDirty, PutOff::UntilRead);
    let mut batch = k.batch();
    for (owner, page) in [(P, pages[0]), (P, pages[1]), (Q, others[0])] {
        k.unmap(owner, &page);
        batch.add(k.space(owner), &decision, &page, true);
    }
    k.is_put_off(&decision, P, &pages);
    k.is_put_off(&decision, Q, &others);
    for owner in [P, Q] {
        k.shows_pending(owner, true);
    }
    let first = write_in_the_window(k, &pages[0]);
    k.flush_before_io(&[P, Q], batch);
    for owner in [P, Q] {
        k.shows_pending(owner, false);
    }
    // Two spaces in one round: two store barriers, two completions and two submissions would be two shootdowns.
    k.has_spent(Spent::once([2, 4, 6], [0, 2, 0], [4, 4, 4, 3]));
    // What was written meanwhile is written out.
    k.has_freed(&[first, pages[1], others[0]], &[]);
    k.maps_nothing(P, &pages);
    k.maps_nothing(Q, &others);
}

/// Page migration: unmapped in a batch, which is flushed before the copy. Linux on POWER tells no device of a single page.
pub(crate) fn page_migration<M: Machine>(k: &mut Kernel<M>) {
    let old = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadWrite)[0];
    k.warm(P, &[old]);
    k.begin();
    let decision = k.decide(Reason::Migration, PutOff::UntilRead);
    assert!(decision.needs_invalid_between());
    let mut batch = k.batch();
    k.unmap(P, &old);
    batch.add(k.space(P), &decision, &old, false);
    k.is_put_off(&decision, P, &[old]);
    let old = write_in_the_window(k, &old);
    k.flush_before_io(&[P], batch);
    k.has_spent(Spent::once([1, 2, 3], [0, 1, 0], [2, 2, 2, 1]));
    k.maps_nothing(P, &[old]);
    moves_to(k, &old);
}

/// The contents are copied, the copy is mapped, and the old frame is free.
fn moves_to<M: Machine>(k: &mut Kernel<M>, old: &Page) {
    let copy = Page {
        word: old.word,
        ..k.new_page(old.va, old.size)
    };
    k.model.poke(copy.frame, k.model.peek(old.frame));
    k.map(P, &copy, ReadWrite);
    k.model.free(old.frame);
    k.settle(P);
    k.maps(P, &copy);
    k.is_writable(P, &copy, true);
}

/// Pages collected for a device's memory under one page-table lock: one flush before it is dropped.
pub(crate) fn device_migration<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 3, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::DeviceMigration, PutOff::UntilTableUnlocked);
    assert!(decision.needs_invalid_between());
    for page in &pages {
        k.unmap(P, page);
    }
    k.is_put_off(&decision, P, &pages);
    k.flush(P, &decision, span(&pages), Some(PageSize::KIB_4));
    k.has_spent(Spent::once([2, 6, 5], [0, 1, 0], [2, 2, 2, 3]));
    k.maps_nothing(P, &pages);
    // One comes back.
    moves_to(k, &pages[0]);
}

/// Whether pages are used: of small ones AArch64 alone is flushed, of large ones every machine. An entry that stays is not stale, so
/// the oracle has nothing against it; the page looks idle while it is used. That is what the controls show.
pub(crate) fn clear_young<M: Machine>(k: &mut Kernel<M>) {
    let small = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadWrite)[0];
    let large = k.map_new(P, BASE + 0x4000_0000, 1, PageSize::MIB_2, ReadWrite)[0];
    k.warm(P, &[small, large]);
    k.begin();
    let decision = k.decide(Reason::AccessedCleared, PutOff::Freely);
    k.clear_accessed(P, &small);
    if decision.call() == Call::Nothing {
        assert_eq!((decision.cpus(), decision.told()), (Cpus::None, Told::None));
        k.is_put_off(&decision, P, &[small]);
    } else {
        forgets(k, Reason::AccessedCleared, &small);
    }
    k.clear_accessed(P, &large);
    forgets(k, Reason::LargeAccessedCleared, &large);
    let rounds = 1 + u32::from(decision.call() == Call::Flush);
    k.has_spent(Spent {
        rounds,
        ..Spent::once([2, 2, 3], [0, 1, 0], [2, 2, 2, 1].map(|each| each * rounds))
    });
}

/// CPU and device have no entry of the page afterwards: the next access sets the flag, or faults where that is software's.
fn forgets<M: Machine>(k: &mut Kernel<M>, reason: Reason, page: &Page) {
    let decision = k.decide(reason, PutOff::Freely);
    k.is_put_off(&decision, P, &[*page]);
    let held = k.held();
    k.flush(P, &decision, page.range(), Some(page.size));
    k.has_let_go(held);
}
