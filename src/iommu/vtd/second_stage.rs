//! The entries that lead to an address space: those of its PASID in scalable mode, its devices' context entries in legacy mode, where the
//! address space is a domain with a second-stage table.

use super::command::Command;
use super::config::{Mode, TranslationConfig};
use super::context_entry::ContextEntry;
use super::pasid_table::PasidEntry;
use super::queue::FENCE;
use super::state::Locked;
use super::submit::Plan;
use crate::dma::{DmaBarriers, Mmio};

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    /// Makes them present.
    pub(super) fn write_entries(&mut self, index: usize, translation: &TranslationConfig) {
        let (hw, state) = (self.hw, &*self.state);
        for (binding, device) in state.contexts_of(index) {
            let domain = binding.tag(&hw.config).domain;
            match &device.pasids {
                Some(table) => {
                    let entry = PasidEntry::new(translation, domain, hw.features.coherent_walks);
                    let index = binding.index();
                    table.install(index, &entry, &hw.barriers, hw.features.coherent);
                }
                // A device that was cut off meanwhile stays so.
                None if device.dead => {}
                None => {
                    let entry = ContextEntry::legacy(translation, domain, device.tlb.is_some());
                    let (barriers, coherent) = (&hw.barriers, hw.features.coherent);
                    state.tables.set(device.id, entry, barriers, coherent);
                }
            }
        }
    }

    /// Clears P in each, and keeps faults of devices that have not stopped from being recorded.
    pub(super) fn silence_entries(&mut self, index: usize) {
        let (hw, state) = (self.hw, &*self.state);
        let (barriers, coherent) = (&hw.barriers, hw.features.coherent);
        for (binding, device) in state.contexts_of(index) {
            match &device.pasids {
                Some(table) => table.silence(binding.index(), barriers, coherent),
                None => state.tables.silence(device.id, barriers, coherent),
            }
        }
    }

    /// Empties them, once nothing is cached from them.
    pub(super) fn empty_entries(&mut self, index: usize) {
        let (hw, state) = (self.hw, &*self.state);
        let (barriers, coherent) = (&hw.barriers, hw.features.coherent);
        for (binding, device) in state.contexts_of(index) {
            match &device.pasids {
                Some(table) => table.clear(binding.index(), barriers, coherent),
                None => state
                    .tables
                    .set(device.id, ContextEntry::SILENT, barriers, coherent),
            }
        }
    }

    /// Entries of [`Self::put_fresh_flushes`].
    pub(super) fn count_fresh_flushes(&self, index: usize) -> u64 {
        match self.hw.config.mode {
            Mode::Scalable => 2 * self.count_tags(index) + 1,
            Mode::Legacy => self.state.contexts_of(index).count() as u64 + 2,
        }
    }

    /// Makes the unit look at entries that have become present. What it cached of their absence carries domain 0 in legacy mode, and so is
    /// dropped by device (Linux `domain_context_mapping_one`).
    pub(super) fn put_fresh_flushes(&mut self, index: usize) {
        match self.hw.config.mode {
            Mode::Scalable => self.put_tag_flushes(index),
            Mode::Legacy => {
                for slot in 0..S {
                    if let Some((binding, device)) = self.binding(slot)
                        && binding.space == index
                    {
                        let id = device.id;
                        self.put(Command::context_cache_device(id));
                    }
                }
                self.put_wait(FENCE);
                self.put_iotlb(index, &Plan::Whole);
            }
        }
    }
}
