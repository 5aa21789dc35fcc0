//! What the engine calls, and in which order the instructions come (Power ISA 3.0B and 3.1B, Book III 6.10.1, "Synchronization of
//! translation-table updates").

use super::config::Privilege;
use super::instructions::Instructions;
use super::issue::count;
use super::plan::Plan;
use super::{PidSlot, PowerPc, change, pid};
use crate::address::{PageRange, PageSize, RangeError};
use crate::arch::{
    Arch, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Presence, Reach,
    Unproven,
};
use crate::change::{Decision, Reason};
use crate::cost::Cost;
use crate::cpu_set::CpuId;
use crate::defects::Defect;
use crate::flush::{Depth, Flush};
use crate::space_id::SpaceId;

/// The process that kernel mappings belong to.
const KERNEL: HardwareId = HardwareId(0);

// SAFETY: PTESYNC makes earlier stores visible to the walkers of every thread before anything later starts; the plans cover what is asked, in
// every page size that an entry may have; `completion` is the architecture's own, with what the defects ask for, and a hypervisor's
// word is what `Hypervisor` promises.
unsafe impl<I: Instructions, const WORDS: usize> Arch for PowerPc<I, WORDS> {
    type Space = PidSlot;

    fn join(&self, cpu: CpuId) -> Result<(), JoinError> {
        let cpu = self.cpus.get(cpu).ok_or(JoinError::UnknownCpu)?;
        self.machine.count(self.instructions.pvr(), &self.config)?;
        // Whoever completes a flush without having seen this CPU's defects did so before this barrier: the walks after it see the
        // tables that the flush is about.
        self.instructions.ptesync();
        cpu.reset();
        Ok(())
    }

    fn delivery(&self, _: Option<HardwareId>) -> Delivery {
        Delivery::Broadcast
    }

    /// ISA 3.1B, Book III 6.10.1.2: after an access fault the entry is fetched again.
    fn faults_drop_entries(&self) -> bool {
        true
    }

    fn decide(&self, reason: Reason) -> Decision {
        change::decide(reason)
    }

    fn presence(&self, cpu: CpuId, space: SpaceId, _: HardwareId) -> Presence {
        match self.cpus.get(cpu) {
            Some(cpu) => cpu.presence(space),
            None => Presence::Running,
        }
    }

    /// Who has run the process holds entries under its PID, until it was asked to drop them.
    fn holds_nothing(&self, cpu: CpuId, _: SpaceId, id: HardwareId) -> bool {
        self.cpus.get(cpu).is_some_and(|cpu| cpu.has_let_go(id))
    }

    fn only_members_hold_entries(&self) -> bool {
        true
    }

    fn may_have_let_go(&self, space: &PidSlot) -> bool {
        space.has_asked()
    }

    fn asks_to_let_go(&self, space: &PidSlot, idle: bool) -> bool {
        space.is_worth_asking(idle, self.config.broadcasts_before_asking())
    }

    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError> {
        self.config.check_range(half, pages)
    }

    fn check_leaf_size(&self, size: PageSize) -> Result<(), RangeError> {
        self.config.check_leaf_size(size)
    }

    fn store_barrier(&self, _: Reach, cost: &mut Cost) {
        if Defect::SyncForPtesync.is_put_back() {
            self.instructions.sync();
        } else {
            self.instructions.ptesync();
        }
        count(&mut cost.store_barriers);
    }

    /// No page table is stored to here, so the barrier between CPUs suffices.
    fn membership_barrier(&self, cost: &mut Cost) {
        self.instructions.sync();
        count(&mut cost.store_barriers);
    }

    fn hardware_id(&self, space: &PidSlot) -> Option<HardwareId> {
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
        let plan = Plan::of(pages, entries, self.config.base_page(), self.ceiling(reach));
        let is_wider = matches!(plan, Plan::Process { .. });
        if is_wider && !Defect::ProcessEscalationUncounted.is_put_back() {
            count(&mut cost.escalations);
        }
        self.issue(&plan, id, reach, cost);
    }

    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost) {
        let depth = Defect::ProcessEntryKept.flattens(Depth::Tables);
        self.issue(&Plan::Process { depth }, id, reach, cost);
    }

    /// Everything of PID 0, whatever the range: an invalidation by address of process-scoped entries is defined for quadrant 0 alone (Book
    /// III 6.9.3.3, "TLB Invalidate Entry": RIC = 0, PRS = 1, IS = 0 and EA\[0:1\] other than 0b00 is boundedly undefined). Linux does the same in `radix__flush_tlb_kernel_range`.
    fn flush_tlb_kernel_range(
        &self,
        _: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    ) {
        count(&mut cost.escalations);
        let depth = entries.depth;
        self.issue(&Plan::Process { depth }, KERNEL, reach, cost);
    }

    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost) {
        match (reach, self.config.privilege()) {
            (Reach::Local, _) => self.drop_everything_here(cost),
            (Reach::Broadcast, Privilege::WithoutTlbie(_)) => {}
            (Reach::Broadcast, _) => self.drop_everything_everywhere(cost),
        }
    }

    fn complete_local(&self, issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        self.close_here(issued, cost);
    }

    fn complete_broadcast(
        &self,
        issued: impl IntoIterator<Item = Issued> + Clone,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        match self.config.privilege() {
            Privilege::WithoutTlbie(hypervisor) => self.ask_hypervisor(hypervisor, issued, cost),
            Privilege::Hypervisor | Privilege::Guest => {
                self.close(issued, cost);
                Ok(())
            }
        }
    }

    fn forget(&self, cpu: CpuId, _: SpaceId, id: HardwareId, cost: &mut Cost) {
        let everything = Plan::Process {
            depth: Depth::Tables,
        };
        self.carry_out(&everything, id, Reach::Local, cost);
        self.close_here([Issued::User(id, Flush::all())], cost);
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.let_go(id);
        }
    }

    fn activate(
        &self,
        cpu: CpuId,
        space: &PidSlot,
        fresh: &mut dyn FnMut(),
        _: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        let cpu = self.cpus.get(cpu).ok_or(IdError::UnknownCpu)?;
        let id = self.pids.activate(space, self.config.pid_width(), fresh)?;
        if cpu.begin_switch(id) {
            space.begin_anew();
        }
        Ok(id)
    }

    fn enter(&self, cpu: CpuId, space: SpaceId, _: &PidSlot, id: HardwareId, _: u64) -> HardwareId {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.enter(space);
        }
        pid::plain(id)
    }

    fn enter_kernel(&self, cpu: CpuId) -> HardwareId {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.enter_kernel();
        }
        KERNEL
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
        self.cpus.get(cpu).is_some_and(|cpu| cpu.is_lazy(space))
    }

    fn left_borrowed_root(&self, cpu: CpuId) {
        if let Some(cpu) = self.cpus.get(cpu) {
            cpu.leave_borrowed_root();
        }
    }

    fn snooper_added(&self, space: &PidSlot) {
        space.add_nest_mmu();
    }

    fn snooper_removed(&self, space: &PidSlot) {
        space.remove_nest_mmu();
    }

    fn retire(&self, space: &PidSlot) {
        self.pids.retire(space);
    }

    fn before_migration(&self, cost: &mut Cost) {
        // A guest without the right to `tlbie` has issued nothing that is still under way.
        if !matches!(self.config.privilege(), Privilege::WithoutTlbie(_)) {
            self.wait_for_broadcasts(cost);
        }
    }
}

impl<I: Instructions, const WORDS: usize> PowerPc<I, WORDS> {
    fn ceiling(&self, reach: Reach) -> u64 {
        let ceilings = self.config.ceilings();
        match reach {
            _ if Defect::PowerCeilingIgnored.is_put_back() => u64::MAX,
            Reach::Local => ceilings.local,
            Reach::Broadcast => ceilings.broadcast,
        }
    }

    /// Broadcasts of a guest that may not issue them are the hypervisor's, when they are to be completed.
    fn issue(&self, plan: &Plan, id: HardwareId, reach: Reach, cost: &mut Cost) {
        let is_hypervisors = matches!(self.config.privilege(), Privilege::WithoutTlbie(_));
        if reach == Reach::Local || !is_hypervisors {
            self.carry_out(plan, id, reach, cost);
        }
    }
}
