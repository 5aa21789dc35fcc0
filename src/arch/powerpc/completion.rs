//! What follows the invalidations, until they are complete.
//!
//! ISA 3.0B and 3.1B, Book III 6.9.3.3: `tlbie` is complete after `eieio; tlbsync; ptesync` on the thread that issued it, `tlbiel` after
//! `ptesync`.

use super::errata::Defects;
use super::instructions::Instructions;
use super::isa::Isa;
use super::issue::{Ric, count};
use super::plan::Plan;
use super::{PowerPc, operand};
use crate::arch::{HardwareId, Issued, Reach};
use crate::cost::Cost;
use crate::defects::Defect;

/// The process that kernel mappings belong to.
const KERNEL: HardwareId = HardwareId(0);

impl<I: Instructions, const WORDS: usize> PowerPc<I, WORDS> {
    /// The plan of a flush that was issued, and whose it was.
    pub(super) fn plan_of(&self, issued: &Issued, ceiling: u64) -> (Plan, HardwareId) {
        let plan = match issued {
            Issued::User(_, flush) => Plan::of_flush(flush, self.config.base_page(), ceiling),
            Issued::Kernel(flush) => Plan::Process {
                depth: flush.depth(),
            },
        };
        (plan, process_of(issued))
    }

    /// Completes what was broadcast.
    pub(super) fn close(&self, issued: impl IntoIterator<Item = Issued> + Clone, cost: &mut Cost) {
        self.mend(issued, cost);
        self.wait_for_broadcasts(cost);
    }

    pub(super) fn wait_for_broadcasts(&self, cost: &mut Cost) {
        let is_swapped = Defect::TlbsyncBeforeEieio.is_put_back();
        if !is_swapped {
            self.instructions.eieio();
        }
        if !Defect::TlbsyncOfPowerLeftOut.is_put_back() {
            self.instructions.tlbsync();
        }
        if is_swapped {
            self.instructions.eieio();
        }
        self.instructions.ptesync();
        count(&mut cost.completion_barriers);
    }

    /// What the defects of POWER9 ask for: an invalidation under the kernel's PID, which no thread filters; then, for each of the
    /// processes, its last one again. Each after a `ptesync`, one for all of them.
    ///
    /// Of a single page the first names that page, and costs the kernel nothing; of several, everything under that PID.
    fn mend(&self, issued: impl IntoIterator<Item = Issued> + Clone, cost: &mut Cost) {
        // Read after the invalidations: whoever has a defect and is not seen yet has not walked before them.
        let defects = if Defect::Power9NotMended.is_put_back() {
            Defects::empty()
        } else {
            self.machine.defects()
        };
        if defects.is_empty() {
            return;
        }
        let ceiling = self.config.ceilings().broadcast;
        let all = || issued.clone().into_iter();
        let Some(first) = all().next() else {
            return;
        };
        if defects.contains(Defects::ERAT) {
            let is_alone = all().nth(1).is_none();
            let (plan, _) = self.plan_of(&first, ceiling);
            let rb = match plan.single().filter(|_| is_alone) {
                Some((addr, page)) => operand::by_address(addr, page),
                None => operand::by_pid(0),
            };
            self.wait_between(cost);
            let (ric, reach) = (Ric::Translations, Reach::Broadcast);
            self.invalidate(ric, rb, KERNEL, reach, cost);
        }
        if defects.contains(Defects::STORE_QUEUE) {
            self.wait_between(cost);
            for (index, one) in all().enumerate() {
                let mut later = all().skip(index + 1);
                if !later.any(|other| process_of(&other) == process_of(&one)) {
                    let (plan, id) = self.plan_of(&one, ceiling);
                    self.repeat(plan.last(), id, cost);
                }
            }
        }
    }

    fn wait_between(&self, cost: &mut Cost) {
        self.instructions.ptesync();
        count(&mut cost.completion_barriers);
    }

    /// Completes what was local, and drops the effective-to-real translations that `tlbiel` by process leaves.
    pub(super) fn close_here(&self, issued: impl IntoIterator<Item = Issued>, cost: &mut Cost) {
        self.instructions.ptesync();
        count(&mut cost.completion_barriers);
        if self.machine.isa() == Isa::V3_1 {
            // A COPY that is under way keeps the translation of its source.
            self.instructions.cp_abort();
        }
        let left = issued.into_iter().map(|flush| self.erat_left(&flush));
        match left.max() {
            Some(EratLeft::Everything) => self.instructions.slbia_ih7(),
            Some(EratLeft::User) => self.instructions.slbia_ih3(),
            Some(EratLeft::Nothing) | None => return,
        }
        self.instructions.isync();
    }

    fn erat_left(&self, issued: &Issued) -> EratLeft {
        match (issued, self.plan_of(issued, self.config.ceilings().local)) {
            (Issued::Kernel(_), _) => EratLeft::Everything,
            (Issued::User(..), (Plan::Pages { .. }, _)) => EratLeft::Nothing,
            (Issued::User(..), (Plan::Process { .. }, _)) => EratLeft::User,
        }
    }
}

/// Whose entries a flush was about.
fn process_of(issued: &Issued) -> HardwareId {
    match issued {
        Issued::User(id, _) => *id,
        Issued::Kernel(_) => KERNEL,
    }
}

/// Which effective-to-real translations local invalidations have left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EratLeft {
    Nothing,
    User,
    Everything,
}
