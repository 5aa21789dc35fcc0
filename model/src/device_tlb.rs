//! The TLB inside a device (PCIe ATS): what it was told once, it uses until it is invalidated.

use crate::memory::Memory;
use crate::memory::descriptor::Leaf;
use crate::oracle::{Holder, Oracle, Span};
use crate::requests::DeviceRequest;
use crate::tlb::{Entry, Says};
use alloc::collections::BTreeMap;
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
    /// The root under each PASID, as the last answer had it.
    roots: BTreeMap<Option<u32>, u64>,
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

    /// Holds an answer. False where something is held under the PASID that is of another tree.
    pub(crate) fn fill(&mut self, pasid: Option<u32>, entry: Entry, memory: &Memory) -> bool {
        let root = entry.context.root.table;
        self.roots.insert(pasid, root);
        let mut held = self.held.iter();
        let is_clean = held.all(|held| held.pasid != pasid || held.entry.is_of(root, memory));
        if self.leaf(pasid, entry.va).is_none() {
            self.held.push(Held { pasid, entry });
        }
        is_clean
    }

    /// Drops what lies in the range, of the PASIDs that are reached, and says what it was.
    pub(crate) fn invalidate(
        &mut self,
        reaches: impl Fn(Option<u32>) -> bool,
        [first, last]: [u64; 2],
        holder: Holder,
        oracle: &mut Oracle,
    ) -> Vec<(Option<u32>, u64)> {
        let hit = |held: &Held| {
            reaches(held.pasid) && held.entry.va <= last && first <= held.entry.last()
        };
        let dropped = self.held.iter().filter(|held| hit(held));
        let dropped = dropped
            .map(|held| {
                oracle.dropped(holder, &held.entry);
                (held.pasid, held.entry.va)
            })
            .collect();
        self.held.retain(|held| !hit(held));
        dropped
    }

    /// Whether the request is of this range.
    pub(crate) fn is_about(&self, request: &DeviceRequest, range: &Span) -> bool {
        let mut roots = self.roots.iter();
        let is_there = request.first <= range.last && range.first <= request.last;
        is_there && roots.any(|(pasid, root)| *root == range.root && request.pasids.reach(*pasid))
    }

    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.held.iter().map(|held| &held.entry)
    }
}
