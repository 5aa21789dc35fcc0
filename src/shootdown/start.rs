//! Steps 1 to 4 of every shootdown.

use super::Shootdown;
use super::mistakes::{is_told_of_upgrades, notice, tells_devices};
use crate::address::FlushRange;
use crate::arch::{Arch, Change, Delivery, Entries, Half, HardwareId, Issued, Reach};
use crate::attachment::{Slots, Summary};
use crate::cost::Cost;
use crate::cpu_set::{CpuId, CpuSet};
use crate::defects::Defect;
use crate::error::Refused;
use crate::flush::Flush;
use crate::mailbox::{Posted, Request};
use crate::platform::Platform;
use crate::secondary::Needs;
use crate::space::AddressSpace;
use crate::ticket::{CpuWaits, Outstanding, Task, Ticket, Waits};

/// Why a user mapping is flushed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Old entries allow what the new ones do not, or lead elsewhere.
    Change,
    /// Old entries allow less than the new ones, and nothing else differs.
    Upgrade,
}

/// The shootdown of one space, between its steps.
pub(crate) struct Scope<const WORDS: usize> {
    pub(crate) me: CpuId,
    pub(crate) id: Option<HardwareId>,
    pub(crate) generation: u64,
    /// CPUs that may hold entries.
    pub(crate) cpus: CpuSet<WORDS>,
    pub(crate) reach: Reach,
    /// An upgrade that each CPU finds out by a spurious fault of its own.
    pub(super) lazily: bool,
    /// The one load that a space without secondary TLBs pays for them.
    pub(crate) secondaries: Summary,
}

/// What is still outstanding of the CPUs once they have been started.
pub(crate) struct CpuSide<const WORDS: usize> {
    /// A request, and those that have to answer it.
    pub(super) posted: Option<(Posted, CpuSet<WORDS>)>,
    /// Issued by instruction, and not known to be complete.
    pub(super) unproven: Option<Issued>,
}

impl<const WORDS: usize> CpuSide<WORDS> {
    pub(crate) const DONE: Self = Self {
        posted: None,
        unproven: None,
    };

    pub(super) fn asked(posted: Option<(Posted, CpuSet<WORDS>)>) -> Self {
        Self {
            posted,
            ..Self::DONE
        }
    }

    pub(super) fn issued(unproven: Option<Issued>) -> Self {
        Self {
            unproven,
            ..Self::DONE
        }
    }
}

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Starts the shootdown of a user mapping. The caller's page-table stores have been made.
    pub(super) fn start_user<'e>(
        &'e self,
        space: &'e AddressSpace<P::Arch, WORDS>,
        flush: Flush,
        reason: Reason,
    ) -> Result<Ticket<'e, P, WORDS>, Refused> {
        if !space.is_live() {
            return Err(Refused::Retired);
        }
        self.check(Half::User, &flush)?;
        let _pin = self.platform.pin_cpu();
        self.check_initiator()?;
        let mut cost = Cost::ZERO;
        let scope = self.scope(space, reason, &mut cost);
        let wanted = |needs: Needs| reason == Reason::Change || is_told_of_upgrades(needs);
        let mut waits = Waits::new(Task::Flush(notice(flush)));
        let slots = tells_devices(&scope, &flush).then_some(&space.secondaries);
        if let Some(slots) = slots {
            self.start_secondaries(slots, &mut waits, wanted, &mut cost);
        }
        let cpus = self.start_cpus(space, &flush, &scope, &mut cost);
        if scope.secondaries.is_snooped() {
            self.start_snoopers(&space.secondaries, &mut waits, &mut cost);
        }
        Ok(self.ticket(slots, waits, cpus, cost))
    }

    /// Steps 1 and 2.
    pub(super) fn scope(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        reason: Reason,
        cost: &mut Cost,
    ) -> Scope<WORDS> {
        // Promise 1, and the first half of promise 2: whoever joins later walks the new entries, whoever has joined is read
        // below. The order of the two is the contract of `store_barrier`.
        let (early, early_id) = self.read_too_early(space, reason);
        if !Defect::StoreBarrierLeftOut.is_put_back() {
            self.arch.store_barrier(Reach::Broadcast, cost);
        }
        let scope = early.unwrap_or_else(|| self.scope_after_barrier(space, reason));
        Scope {
            id: early_id.unwrap_or(scope.id),
            ..scope
        }
    }

    /// Step 2 for a change whose stores the caller has made visible: one barrier may serve several spaces.
    pub(crate) fn scope_of_change(&self, space: &AddressSpace<P::Arch, WORDS>) -> Scope<WORDS> {
        self.scope_after_barrier(space, Reason::Change)
    }

    pub(super) fn scope_after_barrier(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        reason: Reason,
    ) -> Scope<WORDS> {
        let lazily = reason == Reason::Upgrade && self.platform.repairs_spurious_faults();
        let generation = if self.arch.compares_generations() && !lazily {
            space.raise_generation()
        } else {
            space.generation()
        };
        let me = self.platform.cpu();
        let id = self.arch.hardware_id(&space.hardware);
        let cpus = self.members(space, id);
        let secondaries = space.secondaries.summary();
        let alone = lazily
            || cpus.is_within(me)
            || self.online().is_within(me)
            || Defect::LocalWhereOthersRun.is_put_back();
        let needs_broadcast =
            secondaries.is_snooped() && !Defect::SnoopersNeedNoBroadcast.is_put_back();
        let reach = if alone && !needs_broadcast {
            Reach::Local
        } else {
            Reach::Broadcast
        };
        Scope {
            me,
            id,
            generation,
            cpus,
            reach,
            lazily,
            secondaries,
        }
    }

    /// Step 3 for devices: queued and rung, nothing waited for.
    pub(super) fn start_secondaries(
        &self,
        slots: &Slots,
        waits: &mut Waits,
        wanted: impl Fn(Needs) -> bool,
        cost: &mut Cost,
    ) {
        self.in_callback(|| {
            waits.enlist(slots, wanted);
            waits.submit(
                slots,
                |needs| {
                    !needs.contains(Needs::SNOOPS_BROADCASTS)
                        || Defect::SnooperToldBeforeCompletion.is_put_back()
                },
                cost,
            );
        });
    }

    /// Devices whose IOMMU snoops the broadcasts: their own TLBs come strictly after the IOMMU's, so after the CPU's completion.
    pub(super) fn start_snoopers(&self, slots: &Slots, waits: &mut Waits, cost: &mut Cost) {
        self.in_callback(|| {
            waits.submit(
                slots,
                |needs| needs.contains(Needs::SNOOPS_BROADCASTS),
                cost,
            );
        });
    }

    /// Steps 3 and 4 for CPUs. On return everything issued by instruction is complete.
    fn start_cpus(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: &Flush,
        scope: &Scope<WORDS>,
        cost: &mut Cost,
    ) -> CpuSide<WORDS> {
        let Some(id) = scope.id else {
            return CpuSide::DONE;
        };
        let nobody = scope.cpus.is_empty() && !scope.secondaries.is_snooped();
        if nobody && self.arch.only_members_hold_entries() {
            return CpuSide::DONE;
        }
        let delivery = self.arch.delivery(Some(id));
        if scope.lazily {
            let reach = match delivery {
                Delivery::Asked => Reach::Local,
                Delivery::Broadcast | Delivery::Both => scope.reach,
            };
            return CpuSide::issued(self.flush_for_a_fault(id, flush, reach, cost));
        }
        let change = Change::new(space.id(), id, scope.generation, *flush);
        let issued = Issued::User(id, *flush);
        if delivery == Delivery::Broadcast {
            let unproven = self.issue(issued, scope.reach, cost);
            self.ask_to_let_go(space, scope, id, cost);
            return CpuSide::issued(unproven);
        }
        let posted = self.ask(space, &change, scope, cost);
        let unproven = match delivery {
            Delivery::Both => self.issue(issued, scope.reach, cost),
            Delivery::Asked | Delivery::Broadcast => None,
        };
        if scope.cpus.contains(scope.me) {
            let _irqs_off = self.platform.irq_save();
            self.arch.catch_up(scope.me, &change, cost);
        }
        if delivery == Delivery::Both && self.all_reached(space, scope, change.id) {
            self.arch.is_reached_everywhere(&space.hardware);
        }
        CpuSide { posted, unproven }
    }

    /// One CPU's instructions for all that `reach` names, and their completion; what was issued, where it is not known to be
    /// complete. Called pinned.
    pub(crate) fn issue(&self, issued: Issued, reach: Reach, cost: &mut Cost) -> Option<Issued> {
        self.issue_only(&issued, reach, cost);
        if Defect::CompletionLeftOut.is_put_back() {
            return None;
        }
        if Defect::CompletionOnAnotherCpu.is_put_back() {
            return Some(issued);
        }
        let complete = self.arch.complete([issued], reach, cost);
        complete.is_err().then_some(issued)
    }

    /// Asks the other CPUs that have to invalidate for themselves.
    fn ask(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        change: &Change,
        scope: &Scope<WORDS>,
        cost: &mut Cost,
    ) -> Option<(Posted, CpuSet<WORDS>)> {
        let targets = self.to_ask(space, scope, change.id, change.flush.depth());
        let posted = self.post(&targets, &Request::Space(*change), cost);
        if let Some((_, asked)) = &posted {
            let _irqs_off = self.platform.irq_save();
            self.arch.was_asked_for(&space.hardware, asked.len());
        }
        posted
    }

    /// One CPU's instructions alone: the completion is the caller's.
    pub(crate) fn issue_only(&self, issued: &Issued, reach: Reach, cost: &mut Cost) {
        match issued {
            Issued::User(id, flush) => self.flush_user(*id, flush, reach, cost),
            Issued::Kernel(flush) => self.flush_kernel(flush, reach, cost),
        }
    }

    /// The same for a ticket, which may be on any CPU by now.
    pub(crate) fn issue_pinned(&self, issued: Issued, cost: &mut Cost) -> Option<Issued> {
        let _pin = self.platform.pin_cpu();
        if Defect::CompletionOnAnotherCpu.is_put_back() {
            let complete = self.arch.complete_broadcast([issued], cost);
            return complete.is_err().then_some(issued);
        }
        self.issue(issued, Reach::Broadcast, cost)
    }

    /// This CPU's part of an upgrade that the others find out for themselves, and of a spurious fault. Secondary TLBs that snoop
    /// want the broadcast all the same.
    pub(super) fn flush_for_a_fault(
        &self,
        id: HardwareId,
        flush: &Flush,
        reach: Reach,
        cost: &mut Cost,
    ) -> Option<Issued> {
        // Faults of a CPU do nothing for a secondary TLB that snoops.
        let is_needed = reach == Reach::Broadcast || !self.arch.faults_drop_entries();
        is_needed.then(|| self.issue(Issued::User(id, *flush), reach, cost))?
    }

    /// Issues one flush of a user mapping.
    fn flush_user(&self, id: HardwareId, flush: &Flush, reach: Reach, cost: &mut Cost) {
        match flush.range() {
            FlushRange::All => self.arch.flush_tlb_space(id, reach, cost),
            FlushRange::Pages(pages) => {
                self.arch
                    .flush_tlb_range(id, pages, Entries::from(flush), reach, cost);
            }
        }
    }

    /// Issues one flush of kernel mappings.
    fn flush_kernel(&self, flush: &Flush, reach: Reach, cost: &mut Cost) {
        match flush.range() {
            FlushRange::All => self.arch.flush_tlb_all(reach, cost),
            FlushRange::Pages(pages) => {
                self.arch
                    .flush_tlb_kernel_range(pages, Entries::from(flush), reach, cost);
            }
        }
    }

    /// Whether this machine can have changed translations like these.
    pub(crate) fn check(&self, half: Half, flush: &Flush) -> Result<(), Refused> {
        if let FlushRange::Pages(pages) = flush.range() {
            self.arch.check_range(half, pages)?;
        }
        if let Some(size) = flush.promised_leaf_size() {
            self.arch.check_leaf_size(size)?;
        }
        Ok(())
    }

    /// A CPU beyond the capacity has no slot to ask the others through. Called pinned.
    pub(crate) fn check_initiator(&self) -> Result<(), Refused> {
        if self.platform.cpu().index() < CpuSet::<WORDS>::CAPACITY {
            Ok(())
        } else {
            Err(Refused::UnknownCpu)
        }
    }

    /// The ticket for what has been started.
    pub(super) fn ticket<'e>(
        &'e self,
        slots: Option<&'e Slots>,
        waits: Waits,
        cpus: CpuSide<WORDS>,
        cost: Cost,
    ) -> Ticket<'e, P, WORDS> {
        Ticket::new(self.outstanding(slots, waits, cpus, cost))
    }

    pub(super) fn outstanding<'e>(
        &'e self,
        slots: Option<&'e Slots>,
        waits: Waits,
        CpuSide { posted, unproven }: CpuSide<WORDS>,
        cost: Cost,
    ) -> Outstanding<'e, P, WORDS> {
        Outstanding {
            cpus: CpuWaits::new(self, posted),
            slots,
            waits,
            unproven,
            retiring: None,
            cost,
        }
    }
}
