//! One VT-d unit: its registers, its caches, the descriptors under way, and the devices behind it.

use super::config::Caches;
use super::device::Device;
use super::options::VtdOptions;
use super::registers::Registers;
use super::view::View;
use super::work::Work;
use crate::ground::Ground;
use crate::oracle::Holder;
use crate::tlb::{Entry, Tlb};
use alloc::collections::BTreeMap;

/// One unit with the devices behind it.
#[derive(Debug)]
pub(crate) struct Vtd {
    pub(super) options: VtdOptions,
    pub(super) index: usize,
    pub(super) registers: Registers,
    pub(super) work: Work,
    pub(super) tlb: Tlb,
    pub(super) caches: Caches,
    pub(super) view: View,
    pub(super) devices: BTreeMap<u16, Device>,
}

impl Vtd {
    pub(crate) fn new(index: usize, options: VtdOptions) -> Self {
        Self {
            options,
            index,
            registers: Registers::new(&options),
            work: Work::default(),
            tlb: Tlb::default(),
            caches: Caches::default(),
            view: View::new(&options),
            devices: BTreeMap::new(),
        }
    }

    /// One piece of work: acknowledgements of register writes, then one descriptor.
    pub(crate) fn step(&mut self, ground: &mut Ground) {
        let idle = self.is_idle();
        if self.registers.acknowledge(idle) {
            self.view.flush();
        }
        self.tlb.evict_one(&mut ground.chooser);
        self.work_on_queue(ground);
    }

    /// Everything that is cached, by holder.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Holder, &Entry)> {
        let own = Holder::Iommu(self.index);
        let devices = self.devices.iter().flat_map(|(&sid, device)| {
            let holder = Holder::Device(sid.into());
            device.atc.iter().map(move |entry| (holder, entry))
        });
        self.tlb
            .iter()
            .map(move |entry| (own, entry))
            .chain(devices)
    }
}
