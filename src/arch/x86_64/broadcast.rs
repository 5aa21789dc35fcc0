//! Invalidations on every CPU by INVLPGB (AMD APM Vol 3, "INVLPGB" and "TLBSYNC").
//!
//! INVLPGB only begins: TLBSYNC on the same CPU waits for all that this CPU has begun. The full barrier before it makes the
//! page-table stores visible first, for INVLPGB is weakly ordered.

use super::X86_64;
use super::instructions::Instructions;
use super::local::{by_leaf, count};
use super::operand::invlpgb::Invlpgb;
use super::operand::{MaxCount, Pcid, Run, split};
use crate::address::PageRange;
use crate::arch::Entries;
use crate::cost::Cost;
use crate::defects::Defect;

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// User pages under a common identifier.
    pub(super) fn broadcast_pages(
        &self,
        pcid: Pcid,
        pages: &PageRange,
        entries: Entries,
        cost: &mut Cost,
    ) {
        let depth = Defect::FinalEntriesOnly.flattens(entries.depth);
        let of = |run| Invlpgb::user_pages(pcid, run, depth);
        if !self.broadcast_runs(pages, entries, of, cost) {
            self.broadcast_wider(Invlpgb::space(pcid), cost);
        }
    }

    /// Kernel pages under every identifier.
    pub(super) fn broadcast_kernel_pages(
        &self,
        pages: &PageRange,
        entries: Entries,
        cost: &mut Cost,
    ) {
        let of = |run| Invlpgb::kernel_pages(run, entries.depth);
        if !self.broadcast_runs(pages, entries, of, cost) {
            self.broadcast_wider(Invlpgb::all(), cost);
        }
    }

    /// What is more than was asked for.
    fn broadcast_wider(&self, operands: Invlpgb, cost: &mut Cost) {
        if !Defect::InvlpgbEscalationUncounted.is_put_back() {
            count(&mut cost.escalations);
        }
        self.broadcast(operands, cost);
    }

    pub(super) fn broadcast(&self, operands: Invlpgb, cost: &mut Cost) {
        // RAX\[2\]: the ASID is valid.
        let rax = Defect::InvlpgbWithoutAsid.clears(1 << 2, operands.rax());
        let ecx = operands.ecx() + u32::from(Defect::InvlpgbCountsOneMore.is_put_back());
        self.instructions.invlpgb(rax, ecx, operands.edx());
        count(&mut cost.invalidations);
    }

    /// What has been begun is complete.
    pub(super) fn synchronize(&self, cost: &mut Cost) {
        if self.features.broadcasts().is_some() && !Defect::TlbsyncLeftOut.is_put_back() {
            self.instructions.tlbsync();
            count(&mut cost.completion_barriers);
        }
    }

    /// False where there are too many pages, and nothing was begun.
    fn broadcast_runs(
        &self,
        pages: &PageRange,
        entries: Entries,
        operands: impl Fn(Run) -> Invlpgb,
        cost: &mut Cost,
    ) -> bool {
        let max = self.features.broadcasts().unwrap_or(MaxCount::ONE);
        let Some(pages) = self.one_by_one(pages, entries) else {
            return false;
        };
        for run in split(&by_leaf(&pages, entries), max) {
            self.broadcast(operands(run), cost);
        }
        true
    }
}
