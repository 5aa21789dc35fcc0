//! The TLB inside a device (PCIe ATS): what it was told once, it uses until it is invalidated.

use crate::memory::descriptor::Leaf;
use crate::tlb::{Entry, Says};
use alloc::vec::Vec;

/// One translation that an IOMMU handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    pasid: Option<u32>,
    entry: Entry,
}

/// The device's cache, tagged by PASID alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Atc {
    held: Vec<Held>,
}

impl Atc {
    pub(crate) fn leaf(&self, pasid: Option<u32>, va: u64) -> Option<(Entry, Leaf)> {
        let serves =
            |held: &&Held| held.pasid == pasid && held.entry.va <= va && va <= held.entry.last();
        let held = self.held.iter().find(serves)?;
        match held.entry.says {
            Says::Leaf(leaf) => Some((held.entry, leaf)),
            Says::Table(_) => None,
        }
    }

    pub(crate) fn fill(&mut self, pasid: Option<u32>, entry: Entry) {
        if self.leaf(pasid, entry.va).is_none() {
            self.held.push(Held { pasid, entry });
        }
    }

    /// Drops what lies in the range, of the PASIDs that are reached, and says what it was.
    pub(crate) fn invalidate(
        &mut self,
        reaches: impl Fn(Option<u32>) -> bool,
        first: u64,
        last: u64,
    ) -> Vec<(Option<u32>, u64)> {
        let hit = |held: &Held| {
            reaches(held.pasid) && held.entry.va <= last && first <= held.entry.last()
        };
        let dropped = self.held.iter().filter(|held| hit(held));
        let dropped = dropped.map(|held| (held.pasid, held.entry.va)).collect();
        self.held.retain(|held| !hit(held));
        dropped
    }

    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.held.iter().map(|held| &held.entry)
    }
}
