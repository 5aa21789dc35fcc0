//! The second identifier that a space has while the kernel is unmapped from processes.
//!
//! The kernel runs under one identifier, so what it drops with INVLPG it drops there. Entries under the process's own are dropped
//! at once where one instruction names them, else when the process's root is next loaded: until then nobody uses them.

use super::X86_64;
use super::instructions::Instructions;
use super::local::each;
use super::operand::{Pcid, invpcid::Invpcid};
use super::per_cpu::Cpu;
use super::slots;
use crate::address::PageRange;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::flush::Depth;

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// The process's own entries of this slot go before it runs again.
    pub(super) fn distrust_user(&self, cpu: &Cpu, slot: usize) {
        if self.config.is_kpti() {
            cpu.own.distrust_user(slot);
        }
    }

    /// The process's own entries of these pages go, now or before it runs again. INVPCID by address need not drop walk caches of
    /// levels above, so tables are left to the full flush.
    pub(super) fn drop_user_pages(
        &self,
        cpu: &Cpu,
        slot: usize,
        pages: &PageRange,
        depth: Depth,
        cost: &mut Cost,
    ) {
        // Types 0 and 1 fault for every identifier but 0 while CR4.PCIDE is clear.
        let is_tagged = cpu.own.pcid() != Pcid::default();
        if !self.config.is_kpti() || !is_tagged || Defect::KptiForgetsUserPcid.is_put_back() {
            return;
        }
        if !self.features.invpcid() || depth == Depth::Tables {
            return cpu.own.distrust_user(slot);
        }
        let user = slots::pcid(slot).user();
        for addr in each(pages) {
            self.invpcid(Invpcid::address(user, addr), cost);
        }
    }
}
