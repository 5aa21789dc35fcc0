//! A deliberately simple architecture without broadcasts: each CPU flushes its own TLB.

use super::current;
use crate::cpu::Domain;
use crate::model::Model;
use crate::tlb::{Addresses, Regime, Scope};
use core::sync::atomic::{AtomicU64, Ordering};
use tlb_shootdown::address::{PageRange, RangeError};
use tlb_shootdown::arch::{
    Arch, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Reach, Unproven,
};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::Depth;

/// The architecture over the CPUs of a [`Model`], for tests of the mailbox protocol. Identifiers are 16 bits and never reused.
#[derive(Debug)]
pub struct PlainArch {
    model: Model,
    next: AtomicU64,
}

/// The identifier of a space; 0 before it has run.
#[derive(Debug, Default)]
pub struct PlainSpace(AtomicU64);

impl PlainArch {
    /// The architecture of this machine's CPUs.
    pub fn new(model: Model) -> Self {
        Self {
            model,
            next: AtomicU64::new(1),
        }
    }

    fn flush(&self, scope: Scope, reach: Reach, cost: &mut Cost) {
        assert_eq!(reach, Reach::Local, "this architecture does not broadcast");
        cost.invalidations += 1;
        self.model
            .with(|world| world.tlbi(current::get(), Some(scope), false));
    }

    fn barrier(&self, domain: Domain, stores_only: bool) {
        self.model
            .with(|world| world.dsb(current::get(), domain, stores_only));
    }
}

fn addresses(pages: &PageRange, entries: Entries, asid: Option<u32>) -> Scope {
    Scope::Addresses(Addresses {
        regime: Regime::El1,
        asid,
        first: pages.first().raw(),
        last: pages.last_byte().raw(),
        leaf_only: entries.depth == Depth::Leaf,
        level: None,
        whole: false,
    })
}

// SAFETY: nothing but tests relies on it. Flushes act on the executing CPU's TLB in the machine and are complete after the
// non-shareable barrier of `complete`.
unsafe impl Arch for PlainArch {
    type Space = PlainSpace;

    fn join(&self, cpu: CpuId) -> Result<(), JoinError> {
        let known = self.model.with(|world| cpu.index() < world.cpus.len());
        if known {
            Ok(())
        } else {
            Err(JoinError::UnknownCpu)
        }
    }

    fn delivery(&self, _: Option<HardwareId>) -> Delivery {
        Delivery::Asked
    }

    fn compares_generations(&self) -> bool {
        true
    }

    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError> {
        let top = match half {
            Half::User => 0,
            Half::Kernel => 0xffff,
        };
        let inside = |raw: u64| raw >> 48 == top;
        if inside(pages.first().raw()) && inside(pages.last_byte().raw()) {
            Ok(())
        } else {
            Err(RangeError::NonCanonical)
        }
    }

    fn store_barrier(&self, _reach: Reach, cost: &mut Cost) {
        cost.store_barriers += 1;
        self.barrier(Domain::Inner, true);
    }

    fn hardware_id(&self, space: &PlainSpace) -> Option<HardwareId> {
        let id = space.0.load(Ordering::Acquire);
        (id != 0).then_some(HardwareId(id))
    }

    fn flush_tlb_range(
        &self,
        id: HardwareId,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        self.flush(addresses(pages, entries, Some(id.0 as u32)), reach, cost);
    }

    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost) {
        self.flush(Scope::Asid(Regime::El1, id.0 as u32), reach, cost);
    }

    fn flush_tlb_kernel_range(
        &self,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        self.flush(addresses(pages, entries, None), reach, cost);
    }

    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost) {
        self.flush(Scope::Everything, reach, cost);
    }

    fn complete_local(&self, _issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        cost.completion_barriers += 1;
        self.barrier(Domain::Non, false);
    }

    fn complete_broadcast(
        &self,
        issued: impl IntoIterator<Item = Issued>,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        self.complete_local(issued, cost);
        Ok(())
    }

    fn activate(
        &self,
        _cpu: CpuId,
        space: &PlainSpace,
        fresh: &mut dyn FnMut(),
        _cost: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        if let Some(id) = self.hardware_id(space) {
            return Ok(id);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if id > u64::from(u16::MAX) {
            return Err(IdError::Exhausted);
        }
        fresh();
        let mine = space
            .0
            .compare_exchange(0, id, Ordering::AcqRel, Ordering::Acquire);
        Ok(HardwareId(mine.map_or_else(|theirs| theirs, |_| id)))
    }

    fn retire(&self, space: &PlainSpace) {
        space.0.store(0, Ordering::Release);
    }

    fn before_migration(&self, cost: &mut Cost) {
        self.complete_local([], cost);
    }
}
