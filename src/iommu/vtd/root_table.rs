//! The root table with the context tables (VT-d 9.1 to 9.4; Linux `iommu_context_addr`; QEMU `vtd_get_context_entry_from_root`).
//!
//! In scalable mode a root entry has two halves, one for functions 0 to 127 of a bus and one for the others; each leads to a table of 128
//! context entries of 32 bytes. In legacy mode its first half leads to 256 entries of 16 bytes, and the second is reserved.

use super::config::Mode;
use super::context_entry::ContextEntry;
use super::ids::SourceId;
use crate::dma::DmaBarriers;
use crate::iommu::memory::Table;

/// Words of one page.
const PAGE_WORDS: u64 = 512;
const PRESENT: u64 = 1 << 0;
const ADDRESS: u64 = !0xfff;

/// The word of the root table that leads to a device's context table.
fn root_word(mode: Mode, device: SourceId) -> usize {
    usize::from(match mode {
        Mode::Scalable => device.0 >> 7,
        Mode::Legacy => device.0 >> 8 << 1,
    })
}

/// The word of its context table at which its entry begins.
fn entry_word(mode: Mode, device: SourceId) -> u64 {
    u64::from(match mode {
        Mode::Scalable => (device.0 & 0x7f) << 2,
        Mode::Legacy => (device.0 & 0xff) << 1,
    })
}

/// The root table with the pages for context tables.
#[derive(Debug)]
pub(super) struct RootTable {
    root: Table,
    pages: Table,
    mode: Mode,
    /// How many pages there are, and how many hold a context table.
    count: u64,
    used: u64,
}

impl RootTable {
    pub(super) fn new(root: Table, pages: Table, count: u64, mode: Mode) -> Self {
        Self {
            root,
            pages,
            mode,
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
        if self.place_of(device).is_none() {
            self.add_page(device, barriers, coherent)?;
        }
        self.set(device, entry, barriers, coherent);
        Some(())
    }

    /// As [`Self::write`] for a device whose page is there; nothing otherwise.
    pub(super) fn set(
        &self,
        device: SourceId,
        entry: ContextEntry,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) {
        let Some(at) = self.place_of(device) else {
            return;
        };
        let (first, second) = ((at, entry.first), (at + 1, entry.second));
        // The word with P is the last to appear and the first to go, so that no half-written entry can be read.
        let order = if entry.is_present() {
            [second, first]
        } else {
            [first, second]
        };
        for (word, value) in order {
            self.pages.store(word, value);
            if !coherent {
                self.pages.clean(barriers, word..word + 1);
            }
            barriers.publish_tables();
        }
    }

    /// Clears P of a device's entry, where that is present. Idempotent.
    pub(super) fn silence(&self, device: SourceId, barriers: &impl DmaBarriers, coherent: bool) {
        let Some(at) = self.place_of(device) else {
            return;
        };
        let entry = ContextEntry {
            first: self.pages.load(at),
            second: self.pages.load(at + 1),
        };
        if entry.is_present() {
            self.set(device, entry.silenced(), barriers, coherent);
        }
    }

    /// The word of the pages at which a device's entry begins; `None` where there is no table for it.
    fn place_of(&self, device: SourceId) -> Option<usize> {
        let root = self.root.load(root_word(self.mode, device));
        if root & PRESENT == 0 {
            return None;
        }
        let page = ((root & ADDRESS) - self.pages.phys()) >> 12;
        Some((page * PAGE_WORDS + entry_word(self.mode, device)) as usize)
    }

    /// Gives a device's part of a bus the next page.
    fn add_page(
        &mut self,
        device: SourceId,
        barriers: &impl DmaBarriers,
        coherent: bool,
    ) -> Option<()> {
        if self.used == self.count {
            return None;
        }
        let root = root_word(self.mode, device);
        let page = self.pages.phys() + (self.used << 12);
        self.used += 1;
        self.root.store(root, page | PRESENT);
        if !coherent {
            self.root.clean(barriers, root..root + 1);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
