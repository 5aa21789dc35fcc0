//! One SMMU: its registers, its caches, the commands under way, and the devices behind it.

use super::config::Caches;
use super::device::Device;
use super::options::SmmuOptions;
use super::registers::Registers;
use super::work::Work;
use crate::ground::Ground;
use crate::oracle::{Holder, Oracle};
use crate::tlb::{Entry, Scope, Tlb};
use alloc::collections::BTreeMap;

/// One SMMU with the devices behind it.
#[derive(Debug)]
pub(crate) struct Smmu {
    pub(crate) options: SmmuOptions,
    pub(super) index: usize,
    pub(super) registers: Registers,
    pub(super) work: Work,
    pub(super) tlb: Tlb,
    pub(super) caches: Caches,
    pub(crate) devices: BTreeMap<u32, Device>,
}

impl Smmu {
    pub(crate) fn new(index: usize, options: SmmuOptions) -> Self {
        Self {
            options,
            index,
            registers: Registers::new(&options),
            work: Work::default(),
            tlb: Tlb::default(),
            caches: Caches::default(),
            devices: BTreeMap::new(),
        }
    }

    /// One piece of work: acknowledgements of register writes, then one command.
    pub(crate) fn step(&mut self, ground: &mut Ground) {
        self.registers.acknowledge();
        self.tlb.evict_one(&mut ground.chooser);
        self.work_on_queue(ground);
    }

    /// A broadcast of a CPU. With CR2.PTM set or without BTM it passes by; entries of contexts with ASET = 1 need
    /// not heed broadcasts by ASID, and the adversary does not (3.17).
    pub(crate) fn snoop(&mut self, scope: &Scope, oracle: &mut Oracle) {
        if !self.options.btm || self.registers.ignores_broadcasts() {
            return;
        }
        let by_asid = match scope {
            Scope::Asid(..) => true,
            Scope::Addresses(addresses) => addresses.asid.is_some(),
            Scope::Everything | Scope::Regime(_) | Scope::X86(_) | Scope::Power(_) => false,
        };
        let holder = Holder::Iommu(self.index);
        self.tlb.retain(|entry| {
            let stays = !scope.covers(entry) || (by_asid && entry.context.private);
            if !stays {
                oracle.dropped(holder, entry);
            }
            stays
        });
    }

    /// Everything that is cached, by holder.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Holder, &Entry)> {
        let own = Holder::Iommu(self.index);
        let devices = self.devices.iter().flat_map(|(&stream, device)| {
            device
                .atc
                .iter()
                .map(move |entry| (Holder::Device(stream), entry))
        });
        self.tlb
            .iter()
            .map(move |entry| (own, entry))
            .chain(devices)
    }
}
