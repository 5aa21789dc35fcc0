//! A plain architecture with one defect.

use tlb_shootdown::address::{FlushRange, PageRange, RangeError};
use tlb_shootdown::arch::{
    Arch, Change, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Reach, Unproven,
};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::Depth;
use tlb_shootdown_model::platform::{PlainArch, PlainSpace};

/// What is wrong with the architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// Page-table stores are not made visible.
    NoStoreBarrier,
    /// A whole space is not flushed.
    NoSpace,
    /// Leaf entries are not flushed by address.
    NoLeaves,
    /// Of a range the first page alone is flushed.
    FirstAlone,
    /// Walk caches are kept.
    KeepsTables,
    /// Pages are not flushed by address where tables are concerned.
    NoTables,
    /// Of a change that covers several generations the first page alone is flushed.
    FirstOfSeveral,
    /// Kernel walk caches are kept.
    KeepsKernelTables,
    /// Kernel pages are not flushed by address.
    NoKernelRange,
    /// Everything is flushed but what is the kernel's.
    NoKernel,
    /// CPU 1 answers and does nothing.
    Idle,
    /// The CPUs are said to drop an entry that faults.
    DropsNothing,
}

#[derive(Debug)]
pub(crate) struct Defective {
    inner: PlainArch,
    defect: Defect,
}

impl Defective {
    pub(crate) fn new(inner: PlainArch, defect: Defect) -> Self {
        Self { inner, defect }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn covered(&self, pages: &PageRange, entries: Entries) -> (PageRange, Entries) {
        let pages = if self.is(Defect::FirstAlone) {
            PageRange::page(pages.first(), pages.stride())
        } else {
            *pages
        };
        let depth = if self.is(Defect::KeepsTables) {
            Depth::Leaf
        } else {
            entries.depth
        };
        (pages, Entries { depth, ..entries })
    }
}

// SAFETY: nothing but tests relies on it, and most of them on its defects.
unsafe impl Arch for Defective {
    type Space = PlainSpace;

    fn join(&self, cpu: CpuId) -> Result<(), JoinError> {
        self.inner.join(cpu)
    }

    fn delivery(&self, id: Option<HardwareId>) -> Delivery {
        self.inner.delivery(id)
    }

    fn compares_generations(&self) -> bool {
        self.inner.compares_generations()
    }

    fn faults_drop_entries(&self) -> bool {
        self.is(Defect::DropsNothing)
    }

    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError> {
        self.inner.check_range(half, pages)
    }

    fn store_barrier(&self, reach: Reach, cost: &mut Cost) {
        if !self.is(Defect::NoStoreBarrier) {
            self.inner.store_barrier(reach, cost);
        }
    }

    fn hardware_id(&self, space: &PlainSpace) -> Option<HardwareId> {
        self.inner.hardware_id(space)
    }

    fn flush_tlb_range(
        &self,
        id: HardwareId,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        let (pages, entries) = self.covered(pages, entries);
        let is_left_out = match entries.depth {
            Depth::Leaf => self.is(Defect::NoLeaves),
            _ => self.is(Defect::NoTables),
        };
        if !is_left_out {
            self.inner.flush_tlb_range(id, &pages, entries, reach, cost);
        }
    }

    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost) {
        if !self.is(Defect::NoSpace) {
            self.inner.flush_tlb_space(id, reach, cost);
        }
    }

    fn flush_tlb_kernel_range(
        &self,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        let depth = if self.is(Defect::KeepsKernelTables) {
            Depth::Leaf
        } else {
            entries.depth
        };
        if !self.is(Defect::NoKernelRange) {
            let entries = Entries { depth, ..entries };
            self.inner
                .flush_tlb_kernel_range(pages, entries, reach, cost);
        }
    }

    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost) {
        if !self.is(Defect::NoKernel) {
            self.inner.flush_tlb_all(reach, cost);
        }
    }

    fn complete_local(&self, issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        self.inner.complete_local(issued, cost);
    }

    fn complete_broadcast(
        &self,
        issued: impl IntoIterator<Item = Issued> + Clone,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        self.inner.complete_broadcast(issued, cost)
    }

    fn catch_up(&self, cpu: CpuId, change: &Change, cost: &mut Cost) {
        if self.is(Defect::Idle) && cpu == CpuId::new(1) {
            return;
        }
        let issued = Issued::User(change.id, change.flush);
        match change.flush.range() {
            FlushRange::All => {
                self.flush_tlb_space(change.id, Reach::Local, cost);
            }
            FlushRange::Pages(pages) => {
                let entries = Entries::from(&change.flush);
                let is_of_several = change.since != change.generation;
                let pages = &if is_of_several && self.is(Defect::FirstOfSeveral) {
                    PageRange::page(pages.first(), pages.stride())
                } else {
                    *pages
                };
                self.flush_tlb_range(change.id, pages, entries, Reach::Local, cost);
            }
        }
        self.complete_local([issued], cost);
    }

    fn flush_in_nmi(&self, _cpu: CpuId) -> bool {
        let mut cost = Cost::ZERO;
        self.inner.flush_tlb_all(Reach::Local, &mut cost);
        self.inner.complete_local([Issued::EVERYTHING], &mut cost);
        true
    }

    fn activate(
        &self,
        cpu: CpuId,
        space: &PlainSpace,
        fresh: &mut dyn FnMut(),
        cost: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        self.inner.activate(cpu, space, fresh, cost)
    }

    fn retire(&self, space: &PlainSpace) {
        self.inner.retire(space);
    }

    fn before_migration(&self, cost: &mut Cost) {
        self.inner.before_migration(cost);
    }
}
