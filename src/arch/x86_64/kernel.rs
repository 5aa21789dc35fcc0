//! Kernel mappings, which all roots share.
//!
//! INVLPG drops a global entry under whichever identifier it was fetched, but entries that are not global, and walk caches, only
//! under the current one. What other identifiers hold then goes when they are next used, or at once with everything else.

use super::X86_64;
use super::instructions::Instructions;
use super::local::each;
use super::per_cpu::Cpu;
use crate::address::{FlushRange, PageRange};
use crate::arch::Entries;
use crate::cost::Cost;
use crate::flush::{Depth, Flush};

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// See [`Arch::catch_up_kernel`](crate::arch::Arch::catch_up_kernel).
    pub(super) fn bring_kernel_up_to(&self, cpu: &Cpu, flush: &Flush, cost: &mut Cost) {
        let entries = Entries::from(flush);
        let pages = match flush.range() {
            FlushRange::All => None,
            FlushRange::Pages(pages) => self.few_for_invlpg(pages, entries),
        };
        match pages {
            Some(pages) if self.reaches_all(entries.depth) => self.drop_pages(&pages, cost),
            // What has been decided about the root to come cannot be revised.
            Some(pages) if entries.depth == Depth::Leaf && !cpu.shown.loaded().is_switching() => {
                self.drop_pages(&pages, cost);
                cpu.own.slots.distrust_all_but(cpu.own.slot());
                if let Some(slot) = cpu.own.slot() {
                    self.distrust_user(cpu, slot);
                }
            }
            _ => self.drop_everything(cost),
        }
    }

    /// The same without leave to touch what the CPU knows of itself.
    pub(super) fn drop_kernel_pages(&self, pages: &PageRange, entries: Entries, cost: &mut Cost) {
        match self.few_for_invlpg(pages, entries) {
            Some(pages) if self.reaches_all(entries.depth) => self.drop_pages(&pages, cost),
            _ => self.drop_everything(cost),
        }
    }

    /// The pages, where they are few and INVLPG does all that the manuals say.
    fn few_for_invlpg(&self, pages: &PageRange, entries: Entries) -> Option<PageRange> {
        self.one_by_one(pages, entries)
            .filter(|_| !self.features.invlpg_misses_global())
    }

    /// Whether INVLPG reaches whatever this CPU holds of a kernel mapping.
    fn reaches_all(&self, depth: Depth) -> bool {
        let are_global = self.features.global_pages() && !self.config.is_kpti();
        depth == Depth::Leaf && are_global || !self.features.pcids()
    }

    fn drop_pages(&self, pages: &PageRange, cost: &mut Cost) {
        for addr in each(pages) {
            self.drop_page(addr, cost);
        }
    }
}
