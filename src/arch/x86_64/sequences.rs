//! What the engine calls, and in which order the instructions come (Intel SDM Vol 3A 4.10.4, 4.10.5; AMD APM Vol 2 5.5).

use super::identity::Identity;
use super::instructions::Instructions;
use super::local::count;
use super::operand::invlpgb::Invlpgb;
use super::operand::invpcid::Invpcid;
use super::registers::Cr4;
use super::space_pcid::{is_settled, shared};
use super::{SpacePcid, X86_64, change};
use crate::address::{PageRange, RangeError};
use crate::arch::{
    Arch, Change, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Presence, Reach,
    Unproven,
};
use crate::change::{Decision, Reason};
use crate::cost::Cost;
use crate::cpu_set::CpuId;
use crate::flush::Flush;
use crate::space_id::SpaceId;

/// A flush that had to ask at least so many others gets the space an identifier that broadcasts reach.
const WORTH_A_BROADCAST: usize = 3;

// SAFETY: MFENCE makes earlier stores visible to every CPU and walker before any later load; each local invalidation serialises, and covers
// what `local`, `kernel` and `kpti` say; TLBSYNC on the CPU that issued INVLPGB waits for it on every CPU.
unsafe impl<I: Instructions, const WORDS: usize> Arch for X86_64<I, WORDS> {
    type Space = SpacePcid;

    fn join(&self, cpu: CpuId) -> Result<(), JoinError> {
        let cpu = self.cpus.get(cpu).ok_or(JoinError::UnknownCpu)?;
        let identity = Identity::read(&self.instructions);
        if self.config.is_la57() && !identity.cr4.contains(Cr4::LA57) {
            return Err(JoinError::MissingFeature("CR4.LA57"));
        }
        self.features.count(&identity)?;
        cpu.reset();
        Ok(())
    }

    fn delivery(&self, id: Option<HardwareId>) -> Delivery {
        match id {
            Some(id) if shared(id).is_none() => Delivery::Asked,
            Some(id) if !is_settled(id) => Delivery::Both,
            Some(_) => Delivery::Broadcast,
            None if self.uses_broadcasts() => Delivery::Broadcast,
            None => Delivery::Asked,
        }
    }

    fn compares_generations(&self) -> bool {
        true
    }

    /// Intel SDM Vol 3A 4.10.4.1: a fault drops the entries that it was caused by. AMD APM Vol 2 5.5.2: the walker looks again before it faults.
    fn faults_drop_entries(&self) -> bool {
        true
    }

    fn decide(&self, reason: Reason) -> Decision {
        change::decide(reason)
    }

    fn presence(&self, cpu: CpuId, space: SpaceId, id: HardwareId) -> Presence {
        match self.cpus.get(cpu) {
            Some(cpu) => Self::presence_of(cpu, space, id),
            None => Presence::Running,
        }
    }

    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError> {
        self.config.check_range(half, pages)
    }

    fn store_barrier(&self, _: Reach, cost: &mut Cost) {
        self.instructions.mfence();
        count(&mut cost.store_barriers);
    }

    fn hardware_id(&self, space: &SpacePcid) -> Option<HardwareId> {
        Some(space.hardware_id())
    }

    fn flush_tlb_range(
        &self,
        id: HardwareId,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        match shared(id) {
            Some(pcid) => self.broadcast_pages(pcid, pages, entries, cost),
            None => self.flush_tlb_space(id, reach, cost),
        }
    }

    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost) {
        match (shared(id), reach) {
            // Whoever ran the space and left keeps its entries and compares nothing, so no flush of it is ever local.
            (Some(pcid), _) => self.broadcast(Invlpgb::space(pcid), cost),
            // Under which identifiers is known to each CPU alone.
            (None, Reach::Broadcast) => self.broadcast(Invlpgb::all_but_global(), cost),
            (None, Reach::Local) if self.features.invpcid() => {
                self.invpcid(Invpcid::all_but_global(), cost);
            }
            (None, Reach::Local) => self.drop_everything(cost),
        }
    }

    fn flush_tlb_kernel_range(
        &self,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        match reach {
            Reach::Broadcast => self.broadcast_kernel_pages(pages, entries, cost),
            Reach::Local => self.drop_kernel_pages(pages, entries, cost),
        }
    }

    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost) {
        match reach {
            Reach::Broadcast => self.broadcast(Invlpgb::all(), cost),
            Reach::Local => self.drop_everything(cost),
        }
    }

    fn complete_local(&self, issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        // What is local and of the kernel's half serialises by itself; a flush of a common identifier is a broadcast in any case.
        if issued.into_iter().any(|flush| flush.half() == Half::User) {
            self.synchronize(cost);
        }
    }

    fn complete_broadcast(
        &self,
        _: impl IntoIterator<Item = Issued>,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        self.synchronize(cost);
        Ok(())
    }

    fn catch_up(&self, cpu: CpuId, change: &Change, cost: &mut Cost) {
        match self.cpus.get(cpu) {
            Some(cpu) => self.bring_up_to(cpu, change, cost),
            None => self.drop_everything(cost),
        }
    }

    fn catch_up_loaded(&self, cpu: CpuId, cost: &mut Cost) {
        match self.cpus.get(cpu) {
            Some(cpu) => self.distrust_loaded(cpu, cost),
            None => self.drop_everything(cost),
        }
    }

    fn catch_up_kernel(&self, cpu: CpuId, flush: &Flush, cost: &mut Cost) {
        match self.cpus.get(cpu) {
            Some(cpu) => self.bring_kernel_up_to(cpu, flush, cost),
            None => self.drop_everything(cost),
        }
    }

    fn forget(&self, cpu: CpuId, space: SpaceId, id: HardwareId, cost: &mut Cost) {
        match self.cpus.get(cpu) {
            Some(cpu) => self.forget_space(cpu, space, id, cost),
            None => self.drop_everything(cost),
        }
    }

    fn flush_in_nmi(&self, cpu: CpuId) -> bool {
        let Some(cpu) = self.cpus.get(cpu) else {
            return false;
        };
        let may_vouch = !cpu.shown.loaded().is_switching();
        if may_vouch {
            self.drop_everything(&mut Cost::default());
        }
        may_vouch
    }

    fn activate(
        &self,
        cpu: CpuId,
        space: &SpacePcid,
        _: &mut dyn FnMut(),
        _: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        let cpu = self.cpus.get(cpu).ok_or(IdError::UnknownCpu)?;
        cpu.begin_switch();
        Ok(space.hardware_id())
    }

    fn enter(
        &self,
        cpu: CpuId,
        space: SpaceId,
        hardware: &SpacePcid,
        _: HardwareId,
        generation: u64,
    ) -> HardwareId {
        match self.cpus.get(cpu) {
            Some(cpu) => self.choose(cpu, space, hardware, generation),
            None => HardwareId(0),
        }
    }

    fn enter_kernel(&self, cpu: CpuId) -> HardwareId {
        match self.cpus.get(cpu) {
            Some(cpu) => self.choose_kernel(cpu),
            None => HardwareId(0),
        }
    }

    fn root_loaded(&self, cpu: CpuId) {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.end_switch();
        }
    }

    fn enter_lazy(&self, cpu: CpuId) {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.enter_lazy();
        }
    }

    fn is_lazy(&self, cpu: CpuId, space: SpaceId) -> bool {
        let is_lazy = |cpu: &super::per_cpu::Cpu| cpu.is_lazy(space);
        self.cpus.get(cpu).is_some_and(is_lazy)
    }

    fn left_borrowed_root(&self, cpu: CpuId) {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.leave_borrowed_root();
        }
    }

    fn was_asked_for(&self, space: &SpacePcid, cpus: usize) {
        if cpus >= WORTH_A_BROADCAST && self.uses_broadcasts() {
            self.promote(space);
        }
    }

    fn is_reached_everywhere(&self, space: &SpacePcid) {
        space.end_transition();
    }

    fn retire(&self, space: &SpacePcid) {
        if let Some(pcid) = space.retire() {
            self.global_ids.release(pcid);
        }
    }

    fn before_migration(&self, cost: &mut Cost) {
        self.synchronize(cost);
    }
}

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// Gives the space an identifier that broadcasts reach, where one is left.
    fn promote(&self, space: &SpacePcid) {
        if shared(space.hardware_id()).is_some() {
            return;
        }
        if let Some(pcid) = self.global_ids.allocate()
            && !space.publish(pcid)
        {
            self.global_ids.release(pcid);
        }
    }
}
