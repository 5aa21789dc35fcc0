//! The broadcasts of a guest that may not issue them: a hypervisor call for each flush, or one for each page size, made where the flush is
//! completed.

use super::hypervisor::{Hypervisor, HypervisorError, RptInvalidate};
use super::instructions::Instructions;
use super::issue::count;
use super::operand::Page;
use super::plan::{Plan, Run, Runs};
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

/// At most one call for each page size.
type Calls = [Option<RptInvalidate>; Page::ALL.len()];

/// The calls that carry out a plan.
fn calls_for(plan: &Plan, id: HardwareId) -> Calls {
    match plan {
        Plan::Process { depth } => {
            let kind = match depth {
                Depth::Leaf => kind::TRANSLATIONS,
                Depth::Tables => kind::ALL,
            };
            [Some(whole(id, kind)), None, None, None]
        }
        Plan::Pages { walk_caches, runs } => {
            let caches = if *walk_caches { kind::WALK_CACHES } else { 0 };
            calls_for_pages(runs, kind::TRANSLATIONS | caches, id)
        }
    }
}

/// The first call, of the smallest pages, does all that is asked for. Larger pages that change have a call of their own, unless all
/// the small ones lie in one of them: who goes through the range page by page of either size, as KVM does, meets that one at its start.
fn calls_for_pages(runs: &Runs, kind: u64, id: HardwareId) -> Calls {
    let mut calls = runs.map(|run| run.map(|run| call_for(&run, id)));
    let mut all = calls
        .iter_mut()
        .zip(runs)
        .filter_map(|(call, run)| Some((call, run.as_ref()?)));
    if let Some((Some(smallest), _)) = all.next() {
        smallest.kind = kind;
        let is_met = |run: &Run| run.pages.count() == 1 || Defect::LargerPagesAskew.is_put_back();
        for (call, run) in all.filter(|(_, run)| is_met(run)) {
            smallest.page_sizes |= size_bit(run.page);
            *call = None;
        }
    }
    calls
}

/// Pages of one size. Their ends are multiples of it: of a range that is askew KVM misses the last page.
fn call_for(run: &Run, id: HardwareId) -> RptInvalidate {
    RptInvalidate {
        page_sizes: size_bit(run.page),
        start: run.pages.first().raw(),
        // The end of the last page of the address space is coded as all ones, and so is one that is not known.
        end: run.pages.last_byte().raw().saturating_add(1),
        ..whole(id, kind::TRANSLATIONS)
    }
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
                    for call in calls_for(&plan, id).iter().flatten() {
                        if ask(hypervisor, call, cost)? == Done::Everything {
                            break;
                        }
                    }
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

/// What a hypervisor has done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    AsAsked,
    /// Everything of the process.
    Everything,
}

fn ask(
    hypervisor: &dyn Hypervisor,
    call: &RptInvalidate,
    cost: &mut Cost,
) -> Result<Done, Unproven> {
    count(&mut cost.invalidations);
    match hypervisor.rpt_invalidate(call) {
        Ok(()) => Ok(Done::AsAsked),
        Err(HypervisorError::Busy) if Defect::BusyTakenForDone.is_put_back() => Ok(Done::AsAsked),
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
            match hypervisor.rpt_invalidate(&wider) {
                Ok(()) => Ok(Done::Everything),
                Err(_) => Err(Unproven),
            }
        }
    }
}
