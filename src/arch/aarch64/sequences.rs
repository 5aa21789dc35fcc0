//! The order of the instructions (Arm ARM D8.17, K13.5).

use super::features::Identity;
use super::instructions::Instructions;
use super::issue::{Form, count};
use super::{Aarch64, AsidSlot, change, operand};
use crate::address::{PageRange, RangeError};
use crate::arch::{
    Arch, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Reach, Unproven,
};
use crate::change::{Decision, Reason};
use crate::cost::Cost;
use crate::cpu_set::{CpuId, CpuSet};
use crate::defects::Defect;

// SAFETY: DSB ISHST makes earlier stores visible to the walkers of the inner shareable domain before anything later starts (DSB NSHST:
// to this CPU's); the operations cover what `range::split` proves to cover the request; DSB ISH on the CPU that issued them waits for
// them and for the accesses made through what they remove, twice where the errata ask for it (DSB NSH: on this CPU).
unsafe impl<I: Instructions, const WORDS: usize> Arch for Aarch64<I, WORDS> {
    type Space = AsidSlot;

    fn join(&self, cpu: CpuId) -> Result<(), JoinError> {
        if cpu.index() >= CpuSet::<WORDS>::CAPACITY {
            return Err(JoinError::UnknownCpu);
        }
        let on = &self.instructions;
        self.errata.count(on.midr());
        self.features.count(Identity {
            mmfr0: on.id_aa64mmfr0(),
            mmfr2: on.id_aa64mmfr2(),
            isar0: on.id_aa64isar0(),
        })?;
        // Whoever completes a flush without having seen this CPU's errata did so before this barrier: the walks after it see the
        // tables that the flush is about.
        on.dsb_ish();
        Ok(())
    }

    fn delivery(&self, _: Option<HardwareId>) -> Delivery {
        Delivery::Broadcast
    }

    /// As for CPUs without FEAT_BBM: one that has its level 2 may raise TLB conflict aborts, which the kernel must be ready for.
    fn decide(&self, reason: Reason) -> Decision {
        match reason {
            Reason::TableUnshared if Defect::UnshareKeepsWalkCache.is_put_back() => {
                change::decide(Reason::Unmap, 0)
            }
            _ => change::decide(reason, 0),
        }
    }

    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError> {
        self.config.check_range(half, pages)
    }

    fn store_barrier(&self, reach: Reach, cost: &mut Cost) {
        match reach {
            Reach::Broadcast if !Defect::NarrowStoreBarrier.is_put_back() => {
                self.instructions.dsb_ishst();
            }
            Reach::Local | Reach::Broadcast => self.instructions.dsb_nshst(),
        }
        count(&mut cost.store_barriers);
    }

    fn hardware_id(&self, space: &AsidSlot) -> Option<HardwareId> {
        space.hardware_id()
    }

    fn flush_tlb_range(
        &self,
        id: HardwareId,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        let form = Form {
            half: Half::User,
            depth: Defect::WalkCachesKept.flattens(entries.depth),
            reach,
        };
        if pages.count() == 1 && Defect::OnePageFlushesSpace.is_put_back() {
            return self.flush_tlb_space(id, reach, cost);
        }
        if !self.by_pages(form, id, pages, entries, cost) {
            if !Defect::AsidEscalationUncounted.is_put_back() {
                count(&mut cost.escalations);
            }
            self.flush_tlb_space(id, reach, cost);
        }
    }

    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost) {
        let raw = operand::by_asid(id);
        self.by_asid(raw, reach, cost);
        if self.config.is_kpti() {
            self.by_asid(raw | operand::ODD_ASID, reach, cost);
        }
    }

    fn flush_tlb_kernel_range(
        &self,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        let form = Form {
            half: Half::Kernel,
            depth: entries.depth,
            reach,
        };
        // The operations on every ASID have no ASID field.
        let none = HardwareId(0);
        if !self.by_pages(form, none, pages, entries, cost) {
            count(&mut cost.escalations);
            self.flush_tlb_all(reach, cost);
        }
    }

    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost) {
        match reach {
            Reach::Broadcast if !Defect::FullFlushStaysLocal.is_put_back() => {
                self.instructions.tlbi_vmalle1is();
            }
            Reach::Local | Reach::Broadcast => self.instructions.tlbi_vmalle1(),
        }
        count(&mut cost.invalidations);
    }

    fn complete_local(&self, issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        self.resynchronize_too_early();
        self.instructions.dsb_nsh();
        count(&mut cost.completion_barriers);
        self.resynchronize(issued);
    }

    fn complete_broadcast(
        &self,
        issued: impl IntoIterator<Item = Issued>,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        self.resynchronize_too_early();
        self.instructions.dsb_ish();
        count(&mut cost.completion_barriers);
        if self.errata.repeat_tlbi() && !Defect::RepeatLeftOut.is_put_back() {
            // Any operation will do; this one names ASID 0, which has no entries.
            self.instructions.tlbi_vale1is(0);
            self.instructions.dsb_ish();
            count(&mut cost.invalidations);
            count(&mut cost.completion_barriers);
        }
        self.resynchronize(issued);
        Ok(())
    }

    fn activate(
        &self,
        cpu: CpuId,
        space: &AsidSlot,
        fresh: &mut dyn FnMut(),
        cost: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        let mut drop_everything = || {
            self.store_barrier(Reach::Local, cost);
            self.flush_tlb_all(Reach::Local, cost);
            self.complete_local([Issued::EVERYTHING], cost);
        };
        let tagged =
            self.asids
                .activate(cpu, space, self.numbers(), fresh, &mut drop_everything)?;
        Ok(tagged.hardware_id())
    }

    fn retire(&self, space: &AsidSlot) {
        self.asids.retire(space, self.numbers());
    }

    fn before_migration(&self, cost: &mut Cost) {
        self.instructions.dsb_ish();
        count(&mut cost.completion_barriers);
    }
}

impl<I: Instructions, const WORDS: usize> Aarch64<I, WORDS> {
    /// Kernel mappings are used by the instruction stream that is under way.
    fn resynchronize(&self, issued: impl IntoIterator<Item = Issued>) {
        let needs_isb = issued.into_iter().any(|flush| flush.half() == Half::Kernel);
        let is_made = Defect::IsbBeforeDsb.is_put_back();
        if needs_isb && !is_made && !Defect::KernelFlushWithoutIsb.is_put_back() {
            self.instructions.isb();
        }
    }

    /// Before the barrier: nothing, but for who puts that mistake back.
    fn resynchronize_too_early(&self) {
        if Defect::IsbBeforeDsb.is_put_back() {
            self.instructions.isb();
        }
    }
}
