//! The TLB inside a device (PCIe ATS): what it was told once, it uses until it is invalidated.

use crate::memory::descriptor::Leaf;
use crate::tlb::{Entry, Says};
use alloc::vec::Vec;

/// One translation that an IOMMU handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    ssid: Option<u32>,
    entry: Entry,
}

/// The device's cache, tagged by PASID alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Atc {
    held: Vec<Held>,
}

impl Atc {
    pub(super) fn leaf(&self, ssid: Option<u32>, va: u64) -> Option<(Entry, Leaf)> {
        let serves =
            |held: &&Held| held.ssid == ssid && held.entry.va <= va && va <= held.entry.last();
        let held = self.held.iter().find(serves)?;
        match held.entry.says {
            Says::Leaf(leaf) => Some((held.entry, leaf)),
            Says::Table(_) => None,
        }
    }

    pub(super) fn fill(&mut self, ssid: Option<u32>, entry: Entry) {
        if self.leaf(ssid, entry.va).is_none() {
            self.held.push(Held { ssid, entry });
        }
    }

    /// Drops what lies in the range, of one PASID or of all, and says what it was.
    pub(super) fn invalidate(
        &mut self,
        ssid: Option<u32>,
        first: u64,
        last: u64,
    ) -> Vec<(Option<u32>, u64)> {
        let hit = |held: &Held| {
            (ssid.is_none() || held.ssid == ssid)
                && held.entry.va <= last
                && first <= held.entry.last()
        };
        let dropped = self.held.iter().filter(|held| hit(held));
        let dropped = dropped.map(|held| (held.ssid, held.entry.va)).collect();
        self.held.retain(|held| !hit(held));
        dropped
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.held.iter().map(|held| &held.entry)
    }
}
