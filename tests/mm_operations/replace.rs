//! Entries that lead to other memory, or to the same with other contents: old and new are never live together.

use crate::harness::{Kernel, Machine, P, Spent, span};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::change::{PutOff, Reason};
use tlb_shootdown_model::memory::descriptor::Rights::{ReadOnly, ReadWrite};

const BASE: u64 = 0x4000_0000;
/// A breakpoint, where it is put and where it is taken out again.
const BREAKPOINT: u64 = 0xcccc;

/// The write to a shared page: the copy takes its place once nobody has the old one. Linux on POWER tells no device.
pub(crate) fn cow_break<M: Machine>(k: &mut Kernel<M>) {
    let shared = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadOnly)[0];
    k.warm(P, &[shared]);
    let mut copy = k.new_page(BASE, PageSize::KIB_4);
    k.begin();
    let decision = k.decide(Reason::Replaced, PutOff::No);
    k.replace(
        &decision,
        shared.range(),
        Some(PageSize::KIB_4),
        |k| k.unmap(P, &shared),
        |k| k.map(P, &copy, ReadWrite),
    );
    k.has_spent(Spent::once([1, 2, 3], [0, 1, 0], [2, 2, 2, 1]));
    k.maps(P, &copy);
    copy.word += 1;
    k.is_writable(P, &copy, true);
    // The child's page is as it was, whoever has written.
    assert_eq!(k.model.peek(shared.frame), shared.word);
    k.maps(P, &copy);
    k.has_freed(&[], &[]);
}

/// A breakpoint put into a page in place, and taken out again: nobody may execute the page, nor write to it, while it is changed (Linux
/// 6.14; before, the page was replaced). Linux on POWER tells no device.
pub(crate) fn uprobe<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadOnly);
    let clean = pages[0];
    k.warm(P, &pages);
    k.begin();
    let probed = crate::harness::Page {
        word: BREAKPOINT,
        ..clean
    };
    let decision = k.decide(Reason::Replaced, PutOff::No);
    for page in [probed, clean] {
        k.replace(
            &decision,
            span(&pages),
            Some(PageSize::KIB_4),
            |k| k.unmap(P, &page),
            |k| {
                k.model.poke(page.frame, page.word);
                k.map(P, &page, ReadOnly);
            },
        );
        k.cpu_reads(k.other_cpu(P), page.va, Some(page.word));
        k.device_reads(P, page.va, Some(page.word));
    }
    k.has_spent(Spent {
        rounds: 2,
        ..Spent::once([2, 4, 6], [0, 2, 0], [4, 4, 4, 2])
    });
    k.maps(P, &clean);
    k.has_freed(&[], &[]);
}
