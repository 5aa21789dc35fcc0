//! An SMMUv3 that takes every liberty the manual gives it (Arm IHI 0070).
//!
//! It works on polls and steps alone, never inside a doorbell write. Commands between two CMD_SYNCs are unordered, consumption
//! means nothing, and completion is the consumption of a CMD_SYNC.

mod atc;
mod command;
mod config;
mod device;
mod event;
mod port;
mod queue;
mod registers;
mod translate;

pub use device::{DeviceFault, DeviceOptions, DevicePort};
pub use port::SmmuPort;

use crate::oracle::Holder;
use crate::tlb::{Entry, Scope, Tlb};
use crate::world::Ground;
use alloc::collections::BTreeMap;
use device::Device;
use registers::Registers;

/// What an SMMU implements: the ID registers follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmmuOptions {
    /// Stage 2 (IDR0.S2P). Without it, VMIDs are RES0 and stage-2 commands illegal.
    pub stage2: bool,
    /// EL2 translation regimes (IDR0.Hyp).
    pub hyp: bool,
    /// Device TLBs (IDR0.ATS).
    pub ats: bool,
    /// CMD_SYNC may end with a message (IDR0.MSI).
    pub msi: bool,
    /// CMD_SYNC may end with an event (IDR0.SEV).
    pub sev: bool,
    /// It snoops the CPUs' broadcasts (IDR0.BTM).
    pub btm: bool,
    /// 16-bit ASIDs (IDR0.ASID16).
    pub asid16: bool,
    /// Range invalidation and level hints (IDR3.RIL).
    pub ril: bool,
    /// 52-bit addresses with small granules (IDR5.DS): a wider SCALE.
    pub ds: bool,
    /// log2 of the largest command queue (IDR1.CMDQS), at most 19.
    pub cmdqs: u8,
    /// Bits of a StreamID (IDR1.SIDSIZE).
    pub sid_bits: u8,
    /// Bits of a SubstreamID (IDR1.SSIDSIZE); 0 without substreams.
    pub ssid_bits: u8,
    /// Polls that pass before a device TLB that does not answer counts as timed out.
    pub atc_timeout: u32,
    /// How often a CMD_SYNC that stands after an invalidation without an answer fails before it is let through. The manual
    /// lets hardware do either; one failure and then success is the trap for software that simply tries again.
    pub atc_failures: u32,
}

impl Default for SmmuOptions {
    fn default() -> Self {
        Self {
            stage2: false,
            hyp: false,
            ats: true,
            msi: true,
            sev: true,
            btm: false,
            asid16: true,
            ril: true,
            ds: false,
            cmdqs: 8,
            sid_bits: 16,
            ssid_bits: 8,
            atc_timeout: 8,
            atc_failures: 1,
        }
    }
}

/// One SMMU with the devices behind it.
#[derive(Debug)]
pub(crate) struct Smmu {
    pub(crate) options: SmmuOptions,
    index: usize,
    registers: Registers,
    work: queue::Work,
    tlb: Tlb,
    caches: config::Caches,
    pub(crate) devices: BTreeMap<u32, Device>,
}

impl Smmu {
    pub(crate) fn new(index: usize, options: SmmuOptions) -> Self {
        Self {
            options,
            index,
            registers: Registers::new(&options),
            work: queue::Work::default(),
            tlb: Tlb::default(),
            caches: config::Caches::default(),
            devices: BTreeMap::new(),
        }
    }

    /// One piece of work: acknowledgements of register writes, then one command.
    pub(crate) fn step(&mut self, ground: &mut Ground) {
        self.registers.acknowledge();
        crate::cpu::evict_one(&mut self.tlb, &mut ground.chooser);
        self.work_on_queue(ground);
    }

    /// A broadcast of a CPU. With CR2.PTM set or without BTM it passes by; entries of contexts with ASET = 1 need
    /// not heed broadcasts by ASID, and the adversary does not (3.17).
    pub(crate) fn snoop(&mut self, scope: &Scope) {
        if !self.options.btm || self.registers.ignores_broadcasts() {
            return;
        }
        let by_asid = match scope {
            Scope::Asid(..) => true,
            Scope::Addresses(addresses) => addresses.asid.is_some(),
            Scope::Everything | Scope::Regime(_) => false,
        };
        self.tlb
            .retain(|entry| !scope.covers(entry) || (by_asid && entry.context.private));
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
