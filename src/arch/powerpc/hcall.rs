//! The broadcasts of a guest that may not issue them: one hypervisor call for each flush, made where the flush is completed.

use super::hypervisor::{Hypervisor, HypervisorError, RptInvalidate};
use super::instructions::Instructions;
use super::issue::count;
use super::operand::Page;
use super::plan::Plan;
use super::{PowerPc, pid};
use crate::address::FlushRange;
use crate::arch::{HardwareId, Issued, Unproven};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::flush::Depth;

/// PAPR, "H_RPT_INVALIDATE"; Linux' `asm/hvcall.h`.
mod target {
    pub(super) const EVERY_THREAD: u64 = 1 << 0;
    pub(super) const NEST_MMU: u64 = 1 << 2;
}

mod kind {
    pub(super) const TRANSLATIONS: u64 = 1 << 1;
    pub(super) const WALK_CACHES: u64 = 1 << 2;
    pub(super) const PROCESS_TABLE: u64 = 1 << 3;
    pub(super) const ALL: u64 = TRANSLATIONS | WALK_CACHES | PROCESS_TABLE;
}

const EVERY_SIZE: u64 = u64::MAX;
const END: u64 = u64::MAX;

const fn size_bit(page: Page) -> u64 {
    match page {
        Page::Kib4 => 1 << 0,
        Page::Kib64 => 1 << 1,
        Page::Mib2 => 1 << 2,
        Page::Gib1 => 1 << 3,
    }
}

/// Everything of one process.
fn whole(id: HardwareId, kind: u64) -> RptInvalidate {
    let nest = if pid::has_nest_mmu(id) {
        target::NEST_MMU
    } else {
        0
    };
    RptInvalidate {
        pid: pid::plain(id).0,
        target: target::EVERY_THREAD | nest,
        kind,
        page_sizes: EVERY_SIZE,
        start: 0,
        end: END,
    }
}

/// The call that carries out a plan.
fn call_for(plan: &Plan, id: HardwareId) -> RptInvalidate {
    let (walk_caches, runs) = match plan {
        Plan::Process { depth } => {
            return whole(
                id,
                match depth {
                    Depth::Leaf => kind::TRANSLATIONS,
                    Depth::Tables => kind::ALL,
                },
            );
        }
        Plan::Pages { walk_caches, runs } => (*walk_caches, runs),
    };
    let caches = if walk_caches { kind::WALK_CACHES } else { 0 };
    let mut call = RptInvalidate {
        page_sizes: 0,
        start: u64::MAX,
        end: 0,
        ..whole(id, kind::TRANSLATIONS | caches)
    };
    for run in runs.iter().flatten() {
        call.page_sizes |= size_bit(run.page);
        call.start = call.start.min(run.pages.first().raw());
        // The end of the last page of the address space is coded as all ones, and so is one that is not known.
        let end = run.pages.last_byte().raw().saturating_add(1);
        call.end = call.end.max(end);
    }
    call
}

impl<I: Instructions, const WORDS: usize> PowerPc<I, WORDS> {
    /// Has the hypervisor carry out these flushes. What it refuses is asked for once more as everything of the process; where it
    /// is busy, the ticket asks again.
    pub(super) fn ask_hypervisor(
        &self,
        hypervisor: &dyn Hypervisor,
        issued: impl IntoIterator<Item = Issued>,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        for flush in issued {
            match flush {
                Issued::Kernel(flush) if matches!(flush.range(), FlushRange::All) => {
                    self.ask_for_everything(hypervisor, cost)?;
                }
                flush => {
                    let (plan, id) = self.plan_of(&flush, self.config.ceilings().broadcast);
                    ask(hypervisor, &call_for(&plan, id), cost)?;
                }
            }
        }
        Ok(())
    }

    /// There is no call for every process at once.
    fn ask_for_everything(
        &self,
        hypervisor: &dyn Hypervisor,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        ask(hypervisor, &whole(HardwareId(0), kind::ALL), cost)?;
        let done = self.pids.all_in_use(self.config.pid_width(), |pid| {
            ask(hypervisor, &whole(HardwareId(pid), kind::ALL), cost).is_ok()
        });
        if done { Ok(()) } else { Err(Unproven) }
    }
}

fn ask(hypervisor: &dyn Hypervisor, call: &RptInvalidate, cost: &mut Cost) -> Result<(), Unproven> {
    count(&mut cost.invalidations);
    match hypervisor.rpt_invalidate(call) {
        Ok(()) => Ok(()),
        Err(HypervisorError::Busy) if Defect::BusyTakenForDone.is_put_back() => Ok(()),
        Err(HypervisorError::Busy) => Err(Unproven),
        Err(HypervisorError::Refused(_)) => {
            let wider = RptInvalidate {
                kind: kind::ALL,
                page_sizes: EVERY_SIZE,
                start: 0,
                end: END,
                ..*call
            };
            if wider == *call {
                return Err(Unproven);
            }
            count(&mut cost.invalidations);
            count(&mut cost.escalations);
            hypervisor.rpt_invalidate(&wider).map_err(|_| Unproven)
        }
    }
}
