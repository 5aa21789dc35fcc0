//! From a plan to the instructions that it consists of.

use super::instructions::Instructions;
use super::isa::Isa;
use super::operand::{self, Page};
use super::plan::{Plan, Run};
use super::{PowerPc, pid};
use crate::address::VirtAddr;
use crate::arch::{HardwareId, Reach};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::flush::Depth;

/// Sets that `tlbiel` names one by one on ISA 3.0 (POWER9 User's Manual, "TLB Management"; Linux' `POWER9_TLB_SETS_RADIX`).
const SETS: u64 = 128;

/// RIC: what an invalidation drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ric {
    /// 0: translations.
    Translations,
    /// 1: page-walk caches.
    WalkCaches,
    /// 2: both, and table entries of the process or partition.
    All,
}

impl<I: Instructions, const WORDS: usize> PowerPc<I, WORDS> {
    /// Carries out a plan for one process.
    pub(super) fn carry_out(&self, plan: &Plan, id: HardwareId, reach: Reach, cost: &mut Cost) {
        match plan {
            Plan::Pages { walk_caches, runs } => {
                if *walk_caches && !Defect::WalksKept.is_put_back() {
                    // One set holds them all.
                    self.invalidate(Ric::WalkCaches, operand::by_pid(0), id, reach, cost);
                }
                let sizes = if Defect::OneSizeOfSeveral.is_put_back() {
                    1
                } else {
                    runs.len()
                };
                for run in runs.iter().flatten().take(sizes) {
                    self.drop_pages(run, id, reach, cost);
                }
            }
            Plan::Process { depth } => self.drop_process(*depth, id, reach, cost),
        }
    }

    fn drop_pages(&self, run: &Run, id: HardwareId, reach: Reach, cost: &mut Cost) {
        for addr in run.each() {
            let rb = operand::by_address(addr, run.page);
            self.invalidate(Ric::Translations, rb, id, reach, cost);
        }
    }

    /// Everything of one process; walk caches with [`Depth::Tables`] alone.
    fn drop_process(&self, depth: Depth, id: HardwareId, reach: Reach, cost: &mut Cost) {
        let ric = match depth {
            Depth::Leaf if !self.keeps_leaves_in_walk_caches(id) => Ric::Translations,
            Depth::Leaf | Depth::Tables => Ric::All,
        };
        match reach {
            Reach::Broadcast => self.invalidate(ric, operand::by_pid(0), id, reach, cost),
            Reach::Local => self.each_set(ric, |ric, set| {
                self.invalidate(ric, operand::by_pid(set), id, reach, cost);
            }),
        }
    }

    /// The nest MMU of a POWER9 keeps translations of pages among its page walks.
    fn keeps_leaves_in_walk_caches(&self, id: HardwareId) -> bool {
        pid::has_nest_mmu(id) && self.machine.isa() == Isa::V3_0
    }

    /// Whatever `ric` says in the first set, which holds what is no translation; translations in all the others, where there are
    /// others.
    fn each_set(&self, ric: Ric, mut invalidate: impl FnMut(Ric, u64)) {
        invalidate(ric, 0);
        let has_sets = self.machine.isa() == Isa::V3_0 && ric != Ric::WalkCaches;
        if has_sets && !Defect::OneSetOfMany.is_put_back() {
            for set in 1..SETS {
                invalidate(Ric::Translations, set);
            }
        }
    }

    /// One invalidation of process-scoped entries.
    pub(super) fn invalidate(
        &self,
        ric: Ric,
        rb: u64,
        id: HardwareId,
        reach: Reach,
        cost: &mut Cost,
    ) {
        let rs = Defect::TlbieOfAnotherPid.flips(1 << 32, operand::of_process(id));
        let on = &self.instructions;
        let reach = if Defect::BroadcastStaysLocal.is_put_back() {
            Reach::Local
        } else {
            reach
        };
        match (reach, ric) {
            (Reach::Broadcast, Ric::Translations) => on.tlbie_ric0_prs1(rb, rs),
            (Reach::Broadcast, Ric::WalkCaches) => on.tlbie_ric1_prs1(rb, rs),
            (Reach::Broadcast, Ric::All) => on.tlbie_ric2_prs1(rb, rs),
            (Reach::Local, Ric::Translations) => on.tlbiel_ric0_prs1(rb, rs),
            (Reach::Local, Ric::WalkCaches) => on.tlbiel_ric1_prs1(rb, rs),
            (Reach::Local, Ric::All) => on.tlbiel_ric2_prs1(rb, rs),
        }
        count(&mut cost.invalidations);
    }

    /// Everything that every thread holds, of every process of this kernel.
    ///
    /// A hypervisor names all entries (IS = 3), of guests (PRS = 1) and its own: those hang under LPID 0 and go with PRS = 0. A guest's
    /// are those of its partition (IS = 2).
    pub(super) fn drop_everything_everywhere(&self, cost: &mut Cost) {
        let on = &self.instructions;
        if self.config.is_hypervisor() {
            on.tlbie_ric2_prs1(operand::all(0), operand::of_partition(1));
            on.tlbie_ric2_prs0(operand::all(0), operand::of_partition(0));
            count(&mut cost.invalidations);
        } else {
            on.tlbie_ric2_prs1(operand::by_lpid(0), 0);
        }
        count(&mut cost.invalidations);
    }

    /// Everything that this thread holds.
    pub(super) fn drop_everything_here(&self, cost: &mut Cost) {
        let on = &self.instructions;
        let is_hypervisor = self.config.is_hypervisor();
        let scope = |set| {
            if is_hypervisor {
                operand::all(set)
            } else {
                operand::by_lpid(set)
            }
        };
        if is_hypervisor {
            self.each_set(Ric::All, |ric, set| {
                match ric {
                    Ric::All => on.tlbiel_ric2_prs0(scope(set), 0),
                    Ric::Translations | Ric::WalkCaches => on.tlbiel_ric0_prs0(scope(set), 0),
                }
                count(&mut cost.invalidations);
            });
        }
        let kernel = HardwareId(0);
        self.each_set(Ric::All, |ric, set| {
            self.invalidate(ric, scope(set), kernel, Reach::Local, cost);
        });
    }

    /// The last invalidation of a plan once more, or one of an address that nobody uses.
    pub(super) fn repeat(&self, last: Option<(VirtAddr, Page)>, id: HardwareId, cost: &mut Cost) {
        let (addr, page) = last.unwrap_or((operand::UNUSED, Page::Kib64));
        let rb = operand::by_address(addr, page);
        self.invalidate(Ric::Translations, rb, id, Reach::Broadcast, cost);
    }
}

/// Counts up to the end and no further: the counters are the caller's.
pub(super) fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
