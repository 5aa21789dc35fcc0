//! Rights that are taken and given at the same address.

use crate::harness::{Kernel, Machine, P, Page, Spent, span};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::Arch as _;
use tlb_shootdown::change::{PutOff, Reason, Told};
use tlb_shootdown_model::cpu::Fault;
use tlb_shootdown_model::memory::descriptor::Rights::{ReadOnly, ReadWrite};

const BASE: u64 = 0x4000_0000;

/// Makes pages read-only in one gather.
fn downgrade<M: Machine>(k: &mut Kernel<M>, size: PageSize, spent: Spent) {
    let pages = k.map_new(P, BASE, 3, size, ReadWrite);
    k.warm(P, &pages);
    k.is_writable(P, &pages[1], true);
    k.begin();
    let decision = k.decide(Reason::Downgrade, PutOff::UntilSpaceUnlocked);
    let mut gather = k.gather();
    for page in &pages {
        k.protect(P, page, ReadOnly);
        gather.change(page.flush(&decision));
    }
    k.is_put_off(&decision, P, &pages);
    k.finish(gather);
    k.has_spent(spent);
    for page in &pages {
        k.maps(P, page);
        k.is_writable(P, page, false);
    }
    k.has_freed(&[], &[]);
}

/// mprotect that takes rights: flushed before the lock of the space is dropped.
pub(crate) fn mprotect_downgrade<M: Machine>(k: &mut Kernel<M>) {
    downgrade(
        k,
        PageSize::KIB_4,
        Spent::once([2, 6, 5], [0, 1, 0], [2, 2, 2, 3]),
    );
}

/// The same of huge pages of hugetlb: one call after the loop. Linux relies on it that a downgrade's flush tells devices.
pub(crate) fn hugetlb_mprotect<M: Machine>(k: &mut Kernel<M>) {
    downgrade(
        k,
        PageSize::MIB_2,
        Spent::once([1, 6, 5], [0, 1, 0], [2, 2, 2, 3]),
    );
}

/// mprotect that gives rights. Linux on POWER flushes nothing and tells nobody.
pub(crate) fn mprotect_upgrade<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 3, PageSize::KIB_4, ReadOnly);
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::Upgrade, PutOff::UntilSpaceUnlocked);
    k.upgrade(&decision, &pages);
    k.has_spent(Spent::once([2, 6, 5], [0, 1, 0], [2, 2, 2, 3]));
    for page in &pages {
        k.is_writable(P, page, true);
    }
}

/// A write fault on a page that can be reused: CPUs find out by a fault each, the device is told. Linux on x86-64 and POWER tells nobody.
pub(crate) fn fault_time_upgrade<M: Machine>(k: &mut Kernel<M>) {
    k.repairs_spurious_faults();
    let page = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadOnly)[0];
    k.warm(P, &[page]);
    k.begin();
    let faulted = k.model.cpu(0).write(page.va, page.word);
    assert_eq!(faulted, Err(Fault::Permission));
    let decision = k.decide(Reason::Upgrade, PutOff::UntilSpaceUnlocked);
    k.upgrade(&decision, &[page]);
    // One page here alone, or none: the fault has dropped it. Where the device wants more, every CPU is flushed.
    k.has_spent(if k.upgrades_reach_cpus() {
        Spent::once([1, 2, 3], [0, 1, 0], [2, 2, 2, 1])
    } else {
        Spent::once([1, 0, 0], [0, 0, 0], [2, 2, 2, 1])
    });
    // The CPU that faulted and the device write at the first attempt. Where the fault has dropped the entry and nothing was issued, a fetch that
    // nobody asked for may have brought it back before the store.
    if k.is_restless() && M::INDEX != 0 {
        writes_after_a_repair(k, 0, &page);
    } else {
        k.cpu_writes(0, &page, true);
    }
    k.device_writes(P, &page, true);
    k.end_lazy();
    for cpu in k.other_cpus(P) {
        writes_after_a_repair(k, cpu, &page);
    }
}

/// At most one fault, which the handler repairs.
fn writes_after_a_repair<M: Machine>(k: &mut Kernel<M>, cpu: usize, page: &Page) {
    if k.model.cpu(cpu).write(page.va, page.word).is_err() {
        k.fix_spurious_fault(cpu, page);
    }
    k.cpu_writes(cpu, page, true);
}

/// A CPU faults by an entry of before an upgrade. Nobody but that CPU has to do with it: the upgrade itself told the device.
pub(crate) fn spurious_write_fault<M: Machine>(k: &mut Kernel<M>) {
    k.repairs_spurious_faults();
    let page = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadOnly)[0];
    k.warm(P, &[page]);
    let upgrade = k.decide(Reason::Upgrade, PutOff::UntilSpaceUnlocked);
    k.upgrade_for_real(&upgrade, &[page]);
    k.begin();
    let cpu = k.other_cpu(P);
    if k.upgrades_reach_cpus() {
        k.control_is_void("the upgrade has flushed every CPU for the device's sake");
        k.cpu_writes(cpu, &page, true);
        return;
    }
    let faulted = k.model.cpu(cpu).write(page.va, page.word);
    // The CPU that made the upgrade has flushed itself.
    if k.is_predictable() && cpu != 0 {
        assert_eq!(faulted, Err(Fault::Permission));
    }
    let decision = k.engine.arch().decide(Reason::SpuriousFault);
    assert_eq!(decision.told(), Told::None);
    k.fix_spurious_fault(cpu, &page);
    k.has_spent(Spent {
        without_device: 1,
        ..Spent::once([1, 0, 0], [0; 3], [0; 4])
    });
    k.cpu_writes(cpu, &page, true);
    k.device_writes(P, &page, true);
}

/// fork: the parent's pages, here and there in its space, become read-only; one flush of all of it at the end.
pub(crate) fn fork_write_protect<M: Machine>(k: &mut Kernel<M>) {
    let mut pages = k.map_new(P, BASE, 2, PageSize::KIB_4, ReadWrite);
    pages.extend(k.map_new(P, BASE + 0x4000_0000, 1, PageSize::MIB_2, ReadWrite));
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::Downgrade, PutOff::UntilSpaceUnlocked);
    for page in &pages {
        k.protect(P, page, ReadOnly);
    }
    k.is_put_off(&decision, P, &pages);
    k.flush_space(P);
    // All of the space, tables as well, whatever the number of pages.
    k.has_spent(Spent::once([1, 2, 3], [0, 2, 0], [2, 2, 2, 1]));
    for page in &pages {
        k.maps(P, page);
        k.is_writable(P, page, false);
    }
}

/// Hinting faults: entries that allow nothing, so that the next access shows who uses the page. The frame stays where it is.
pub(crate) fn numa_hinting<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 4, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::Downgrade, PutOff::UntilSpaceUnlocked);
    let mut gather = k.gather();
    for page in &pages {
        k.unmap(P, page);
        gather.change(page.flush(&decision));
    }
    k.is_put_off(&decision, P, &pages);
    k.finish(gather);
    k.has_spent(Spent::once([1, 8, 6], [0, 1, 0], [2, 2, 2, 4]));
    k.maps_nothing(P, &pages);
    k.has_freed(&[], &[]);
    // The fault gives the entry back.
    k.map(P, &pages[2], ReadWrite);
    k.settle(P);
    k.maps(P, &pages[2]);
}

/// page_mkclean, and a page that is compared before it is merged: read-only first, then its contents are read. Linux on POWER tells nobody.
pub(crate) fn page_mkclean_and_ksm<M: Machine>(k: &mut Kernel<M>) {
    let pages = k.map_new(P, BASE, 1, PageSize::KIB_4, ReadWrite);
    k.warm(P, &pages);
    k.begin();
    let decision = k.decide(Reason::DirtyCleared, PutOff::UntilRead);
    k.protect(P, &pages[0], ReadOnly);
    k.is_put_off(&decision, P, &pages);
    k.flush(P, &decision, span(&pages), Some(PageSize::KIB_4));
    k.has_spent(Spent::once([1, 2, 3], [0, 1, 0], [2, 2, 2, 1]));
    // What is read from here on nobody changes.
    k.is_writable(P, &pages[0], false);
    k.maps(P, &pages[0]);
}
