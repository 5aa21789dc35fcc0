//! An SMMU with one device and one page table, driven by raw words: nothing of the library's is used here.
#![allow(dead_code, reason = "each test file uses a part of it")]

use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions, SmmuPort};
use tlb_shootdown_model::{Model, Temper};

pub(crate) const PAGE: u64 = 0x40_0000;
pub(crate) const ASID: u64 = 5;
pub(crate) const SID: u32 = 3;
pub(crate) const SUBSTREAM: u32 = 7;

/// TLBI_NH_VA of one page of ASID 5, and CMD_SYNC without a signal.
pub(crate) const TLBI_PAGE: (u64, u64) = (0x0005_0000_0000_0012, PAGE);
pub(crate) const SYNC: (u64, u64) = (0x46, 0);

pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) smmu: SmmuPort,
    pub(crate) device: DevicePort,
    pub(crate) tables: Tables,
    pub(crate) frame: u64,
    pub(crate) queue: DmaRegion,
    pub(crate) contexts: DmaRegion,
    pub(crate) streams: DmaRegion,
    pub(crate) barriers: ModelBarriers,
    prod: u32,
}

/// 16 entries.
pub(crate) const LOG2: u32 = 4;

impl Rig {
    pub(crate) fn new(options: SmmuOptions, device: DeviceOptions) -> Self {
        Self::with_temper(options, device, Temper::Late)
    }

    pub(crate) fn with_temper(options: SmmuOptions, device: DeviceOptions, temper: Temper) -> Self {
        let model = Model::new(1, temper);
        let smmu = model.add_smmu(options);
        let tables = model.tables();
        let frame = model.allocate(0x1000);
        let mut rig = Self {
            device: smmu.add_device(SID, device),
            queue: model.share(16 << LOG2, 0x1000),
            contexts: model.share(64 * 16, 0x1000),
            streams: model.share(64 * 16, 0x1000),
            barriers: ModelBarriers::new(model.clone()),
            tables,
            frame,
            model,
            smmu,
            prod: 0,
        };
        rig.enable();
        rig.tables
            .map(0, PAGE, Mapping::page(frame, Rights::ReadOnly));
        rig.barriers.publish_tables();
        rig
    }

    fn enable(&mut self) {
        // Linear CD table of 16, S1DSS = substream 0, ATS allowed.
        let context = self.contexts.phys().raw();
        put(
            &self.streams,
            SID as usize * 8,
            1 | 0b101 << 1 | context | 4 << 59,
        );
        put(&self.streams, SID as usize * 8 + 1, 0b10 | 0b01 << 28);
        self.put_context(0, ASID);
        self.put_context(SUBSTREAM, ASID + 1);
        self.barriers.publish_tables();
        // CMDQ_BASE, STRTAB_BASE(_CFG), then CR0.CMDQEN and SMMUEN.
        self.smmu
            .write64(0x90, self.queue.phys().raw() | u64::from(LOG2));
        self.smmu.write64(0x80, self.streams.phys().raw());
        self.smmu.write32(0x88, 4);
        self.smmu.write32(0x20, 1 << 3 | 1);
        while self.smmu.read32(0x24) != 0b1001 {}
    }

    /// V, AA64, R, A, ASET, 48 bits, EPD1, and the ASID.
    pub(crate) fn put_context(&self, ssid: u32, asid: u64) {
        let w0 = 16 | 1 << 30 | 1 << 31 | 1 << 41 | 0b11 << 45 | 1 << 47 | asid << 48;
        put(&self.contexts, ssid as usize * 8 + 1, self.tables.root());
        put(&self.contexts, ssid as usize * 8, w0);
    }

    /// Writes entries and rings, without waiting.
    pub(crate) fn ring(&mut self, commands: &[(u64, u64)]) {
        for &(w0, w1) in commands {
            let index = (self.prod as usize & ((1 << LOG2) - 1)) * 2;
            put(&self.queue, index, w0);
            put(&self.queue, index + 1, w1);
            self.prod = (self.prod + 1) & ((2 << LOG2) - 1);
        }
        self.barriers.before_doorbell();
        self.smmu.write32(0x98, self.prod);
    }

    /// Rings, and lets the SMMU work until it has nothing to do or has stopped.
    pub(crate) fn run(&mut self, commands: &[(u64, u64)]) {
        self.ring(commands);
        self.smmu.settle();
    }

    pub(crate) fn cons(&self) -> u32 {
        self.smmu.read32(0x9c)
    }

    pub(crate) fn error(&self) -> u32 {
        self.cons() >> 24 & 0x7f
    }

    pub(crate) fn error_active(&self) -> bool {
        (self.smmu.read32(0x60) ^ self.smmu.read32(0x64)) & 1 != 0
    }

    pub(crate) fn acknowledge(&self) {
        self.smmu.write32(0x64, self.smmu.read32(0x60));
    }

    pub(crate) fn protect(&self, rights: Rights) {
        self.tables.protect(0, PAGE, rights);
        self.barriers.publish_tables();
    }

    pub(crate) fn returned(&self) {
        self.model.returned(self.tables.root(), PAGE, PAGE | 0xfff);
    }
}

pub(crate) fn put(region: &DmaRegion, index: usize, value: u64) {
    assert!(index * 8 < region.len());
    // SAFETY: within the region, as was just checked.
    let at = unsafe { region.virt().cast::<u64>().add(index) };
    // SAFETY: the region is memory of the machine that nobody else writes meanwhile.
    unsafe { at.write_volatile(value) };
}

pub(crate) fn get(region: &DmaRegion, index: usize) -> u64 {
    assert!(index * 8 < region.len());
    // SAFETY: within the region, as was just checked.
    let at = unsafe { region.virt().cast::<u64>().add(index) };
    // SAFETY: the region is memory of the machine that nobody else writes meanwhile.
    unsafe { at.read_volatile() }
}
