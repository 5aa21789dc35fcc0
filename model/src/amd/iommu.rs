//! One AMD IOMMU: its registers, its caches, the commands under way, and the devices behind it.

use super::device::Device;
use super::device_table::Entries;
use super::event::Late;
use super::gcr3::Roots;
use super::options::AmdOptions;
use super::registers::Registers;
use super::work::Work;
use crate::ground::Ground;
use crate::oracle::Holder;
use crate::tlb::{Entry, Tlb};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One IOMMU with the devices behind it.
#[derive(Debug)]
pub(crate) struct Iommu {
    pub(super) options: AmdOptions,
    pub(super) index: usize,
    pub(super) registers: Registers,
    pub(super) work: Work,
    pub(super) unwritten: Vec<Late>,
    pub(super) tlb: Tlb,
    pub(super) entries: Entries,
    pub(super) roots: Roots,
    pub(super) devices: BTreeMap<u32, Device>,
}

impl Iommu {
    pub(crate) fn new(index: usize, options: AmdOptions) -> Self {
        Self {
            options,
            index,
            registers: Registers::new(&options),
            work: Work::default(),
            unwritten: Vec::new(),
            tlb: Tlb::default(),
            entries: Entries::default(),
            roots: Roots::default(),
            devices: BTreeMap::new(),
        }
    }

    /// One piece of work: late events, register writes that take effect, then the command buffer.
    pub(crate) fn step(&mut self, ground: &mut Ground) {
        self.write_late_events(ground);
        self.registers.acknowledge();
        self.tlb.evict_one(&mut ground.chooser);
        self.work_on_queue(ground);
        if !ground.chooser.unasked_at_random(3) {
            self.registers.show_head();
        }
    }

    /// Everything that is cached, by holder.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Holder, &Entry)> {
        let own = Holder::Iommu(self.index);
        let devices = self.devices.iter().flat_map(|(&id, device)| {
            let held = device.tlb.iter();
            held.map(move |entry| (Holder::Device(id), entry))
        });
        self.tlb
            .iter()
            .map(move |entry| (own, entry))
            .chain(devices)
    }
}
