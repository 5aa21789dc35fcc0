//! The root table and the scalable-mode context tables (VT-d 9.2 and 9.4; Linux `context_set_*`; QEMU `VTD_SM_CONTEXT_*`).
//!
//! A root entry has two halves, one for functions 0 to 127 of a bus and one for the others; each leads to a table of 128 context entries
//! of 32 bytes.

use super::ids::SourceId;
use crate::dma::DmaBarriers;
use crate::iommu::memory::Table;

/// Words of one page.
const PAGE_WORDS: u64 = 512;
/// Words of one context entry.
const ENTRY_WORDS: u64 = 4;
const PRESENT: u64 = 1 << 0;
const ADDRESS: u64 = !0xfff;

/// The words of a context entry that are not zero. The second would hold RID_PASID, which stays 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContextEntry(u64);

impl ContextEntry {
    /// No access at all, translated ones included.
    pub(super) const ABSENT: Self = Self(0);

    /// Translates by this PASID table.
    pub(super) const fn new(
        directory: u64,
        pasid_bits: u8,
        device_tlb: bool,
        page_requests: bool,
    ) -> Self {
        const DEVICE_TLB: u64 = 1 << 2;
        const PASIDS: u64 = 1 << 3;
        const PAGE_REQUESTS: u64 = 1 << 4;
        // PDTS, bits 11:9: the directory has `1 << (PDTS + 7)` entries, each for 64 PASIDs.
        let size = pasid_bits.saturating_sub(13) as u64;
        let mut word = directory | size << 9 | PRESENT;
        if device_tlb {
            word |= DEVICE_TLB;
        }
        if pasid_bits > 0 {
            word |= PASIDS;
        }
        if page_requests {
            word |= PAGE_REQUESTS;
        }
        Self(word)
    }
}

/// The root table with the pages for context tables.
#[derive(Debug)]
pub(super) struct RootTable {
    root: Table,
    pages: Table,
    /// How many pages there are, and how many hold a context table.
    count: u64,
    used: u64,
}

impl RootTable {
    pub(super) fn new(root: Table, pages: Table, count: u64) -> Self {
        Self {
            root,
            pages,
            count,
            used: 0,
        }
    }

    pub(super) fn phys(&self) -> u64 {
        self.root.phys()
    }

    /// Writes everything back from the CPU's caches.
    pub(super) fn clean(&self, barriers: &impl DmaBarriers) {
        self.root.clean(barriers, 0..usize::MAX);
        self.pages.clean(barriers, 0..usize::MAX);
    }

    /// Writes a device's entry; `None` where there is no page for its context table.
    pub(super) fn write(
        &mut self,
        device: SourceId,
        entry: ContextEntry,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) -> Option<()> {
        let page = self.page_of(device, barriers, coherent)?;
        let at = (page * PAGE_WORDS + u64::from(device.0 & 0x7f) * ENTRY_WORDS) as usize;
        // One word alone is ever other than zero, so that no half-written entry can be read.
        self.pages.store(at, entry.0);
        if !coherent {
            self.pages.clean(barriers, at..at + ENTRY_WORDS as usize);
        }
        barriers.publish_tables();
        Some(())
    }

    /// The page of a device's half bus: one that has none gets the next.
    fn page_of(
        &mut self,
        device: SourceId,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) -> Option<u64> {
        // Two words for each bus: functions 0 to 127, and the others.
        let half = usize::from(device.0 >> 7);
        let present = self.root.load(half);
        if present & PRESENT != 0 {
            return Some(((present & ADDRESS) - self.pages.phys()) >> 12);
        }
        if self.used == self.count {
            return None;
        }
        let page = self.used;
        self.used += 1;
        self.root
            .store(half, (self.pages.phys() + (page << 12)) | PRESENT);
        if !coherent {
            self.root.clean(barriers, half..half + 1);
        }
        Some(page)
    }
}
