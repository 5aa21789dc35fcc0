//! Invalidations on the executing CPU (Intel SDM Vol 3A 4.10.4.1; AMD APM Vol 2 5.5.2, 5.5.3). Each of them serialises: nothing waits for it.

use super::X86_64;
use super::instructions::Instructions;
use super::operand::cr3::Cr3;
use super::operand::invpcid::Invpcid;
use super::operand::leaf_size;
use super::registers::Cr4;
use crate::address::{PageRange, PageSize, VirtAddr};
use crate::arch::Entries;
use crate::cost::Cost;
use crate::defects::Defect;

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// The entries that may have changed, where they are few enough to be dropped one by one.
    pub(super) fn one_by_one(&self, pages: &PageRange, entries: Entries) -> Option<PageRange> {
        let pages = by_leaf(pages, entries);
        let few = pages.count() <= self.config.page_ceiling();
        (few || Defect::CeilingIgnored.is_put_back()).then_some(pages)
    }

    pub(super) fn invpcid(&self, operands: Invpcid, cost: &mut Cost) {
        let [pcid, address] = operands.descriptor();
        let named = Defect::InvpcidOfAnotherPcid.flips(1, pcid);
        self.instructions
            .invpcid(operands.kind() as u64, [named, address]);
        count(&mut cost.invalidations);
    }

    /// One page under the current identifier and where it is global, and all walk caches of the current identifier.
    pub(super) fn drop_page(&self, addr: VirtAddr, cost: &mut Cost) {
        self.instructions.invlpg(addr.raw());
        count(&mut cost.invalidations);
    }

    /// Everything under the current identifier that is not global. Interrupts off: no other root may come in between.
    pub(super) fn drop_current(&self, cost: &mut Cost) {
        let loaded = Cr3::from_raw(self.instructions.read_cr3());
        self.load(loaded, cost);
    }

    /// Loads the root, and drops what is cached under its identifier.
    pub(super) fn load(&self, root: Cr3, cost: &mut Cost) {
        self.instructions.write_cr3(root.dropping().raw());
        count(&mut cost.invalidations);
    }

    /// Everything under every identifier, global entries included. Where it goes through CR3 or CR4, interrupts are off.
    pub(super) fn drop_everything(&self, cost: &mut Cost) {
        if Defect::GlobalEntriesKept.is_put_back() {
            return self.drop_current(cost);
        }
        if self.features.invpcid() {
            return self.invpcid(Invpcid::all(), cost);
        }
        let cr4 = Cr4::from_bits_retain(self.instructions.read_cr4());
        // Every CPU with identifiers has global pages, enabled or not.
        if cr4.intersects(Cr4::PGE | Cr4::PCIDE) {
            let toggled = cr4.symmetric_difference(Cr4::PGE);
            self.instructions.write_cr4(toggled.bits());
            self.instructions.write_cr4(cr4.bits());
            count(&mut cost.invalidations);
        } else {
            self.drop_current(cost);
        }
    }
}

/// One stride for each leaf entry: its size where that is known and one that leaf entries have, else 4 KiB.
pub(super) fn by_leaf(pages: &PageRange, entries: Entries) -> PageRange {
    let size = entries.leaf_size.map_or(PageSize::KIB_4, leaf_size);
    pages.with_stride(size)
}

/// The first address of every stride, in ascending order.
pub(super) fn each(pages: &PageRange) -> impl Iterator<Item = VirtAddr> {
    let (first, stride) = (pages.first().raw(), pages.stride().bytes());
    (0..pages.count()).map(move |n| VirtAddr::new(first + n * stride))
}

/// Counts up to the end and no further: the counters are the caller's.
pub(super) fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
