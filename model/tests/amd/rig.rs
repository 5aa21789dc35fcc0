//! An AMD IOMMU with two devices, driven by raw words: nothing of the library's is used here.

use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
use tlb_shootdown_model::amd::{AmdOptions, AmdPort, DeviceOptions, DevicePort};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::{Model, Temper};

pub(crate) const PAGE: u64 = 0x40_0000;
/// The process's device: guest translation in domain 3, under a PASID of more than 16 bits.
pub(crate) const DEVICE: u16 = 0x28;
pub(crate) const PASID: u32 = 0x1_2345;
/// The other one: host translation in domain 9.
pub(crate) const HOST_DEVICE: u16 = 0x30;

/// INVALIDATE_IOMMU_PAGES of one page, and of everything, of that PASID, directories included.
pub(crate) const PASID_PAGE: (u64, u64) = (0x3000_0003_0001_2345, PAGE | 6);
pub(crate) const PASID_ALL: (u64, u64) = (0x3000_0003_0001_2345, 0x7fff_ffff_ffff_f007);
/// INVALIDATE_IOTLB_PAGES of the same page and PASID, queue depth 32.
pub(crate) const DEVICE_PAGE: (u64, u64) = (0x4145_0028_2023_0028, PAGE | 4);
/// INVALIDATE_IOMMU_PAGES of one page of domain 9, directories included.
pub(crate) const HOST_PAGE: (u64, u64) = (0x3000_0009_0000_0000, PAGE | 2);
pub(crate) const DEVICE_ENTRY: (u64, u64) = (0x2000_0000_0000_0028, 0);

pub(crate) const STATUS: usize = 0x2020;
pub(crate) const CMD_BUF_RUN: u64 = 1 << 4;
pub(crate) const EVENT_LOG_RUN: u64 = 1 << 3;
/// IommuEn, EventLogEn, InvTimeOut = 1 s, CmdBufEn, GTEn.
pub(crate) const CONTROL: u64 = 1 | 1 << 2 | 4 << 5 | 1 << 12 | 1 << 16;
const CMD_BUF_EN: u64 = 1 << 12;

pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) iommu: AmdPort,
    /// The process's device, with its PASID.
    pub(crate) device: DevicePort,
    pub(crate) host_device: DevicePort,
    pub(crate) tables: Tables,
    pub(crate) host_tables: Tables,
    pub(crate) frame: u64,
    pub(crate) commands: DmaRegion,
    pub(crate) events: DmaRegion,
    pub(crate) device_table: DmaRegion,
    pub(crate) gcr3: DmaRegion,
    pub(crate) semaphore: DmaRegion,
    pub(crate) barriers: ModelBarriers,
    tail: u64,
    waits: u64,
}

impl Rig {
    pub(crate) fn plain() -> Self {
        Self::new(AmdOptions::default(), DeviceOptions::default())
    }

    pub(crate) fn with_ats() -> Self {
        let device = DeviceOptions {
            ats: true,
            ..DeviceOptions::default()
        };
        Self::new(AmdOptions::default(), device)
    }

    pub(crate) fn new(options: AmdOptions, device: DeviceOptions) -> Self {
        Self::with_temper(options, device, Temper::Late)
    }

    pub(crate) fn with_temper(options: AmdOptions, device: DeviceOptions, temper: Temper) -> Self {
        let model = Model::new(1, temper);
        let iommu = model.add_amd(options);
        let rig = Self {
            device: iommu.add_device(DEVICE, device).pasid(PASID),
            host_device: iommu.add_device(HOST_DEVICE, device),
            tables: model.x86_tables(),
            host_tables: model.amd_host_tables(),
            frame: model.allocate(0x1000),
            commands: model.share(0x1000, 0x1000),
            events: model.share(0x1000, 0x1000),
            device_table: model.share(0x1000, 0x1000),
            gcr3: model.share(0x3000, 0x1000),
            semaphore: model.share(0x1000, 0x1000),
            barriers: ModelBarriers::new(model.clone()),
            model,
            iommu,
            tail: 0,
            waits: 0,
        };
        let page = Mapping::page(rig.frame, Rights::ReadOnly);
        rig.tables.map(0, PAGE, page);
        rig.host_tables.map(0, PAGE, page);
        rig.put_root(rig.tables.root() | 1);
        rig.put_entries();
        rig.barriers.publish_tables();
        rig.enable();
        rig
    }

    /// Three levels: 0, 0x91 and 0x145 are the PASID's nine-bit pieces.
    pub(crate) fn put_root(&self, leaf: u64) {
        let at = self.gcr3.phys().raw();
        put(&self.gcr3, 0, (at + 0x1000) | 1);
        put(&self.gcr3, 0x200 + 0x91, (at + 0x2000) | 1);
        put(&self.gcr3, 0x400 + 0x145, leaf);
    }

    fn put_entries(&self) {
        // V, TV, IR, IW; GV, GLX = 2, domain 3, I; the GCR3 table in three pieces.
        let rights = 0b11 | 0b11 << 61;
        let gcr3 = self.gcr3.phys().raw();
        let guest = 1 << 55 | 2 << 56 | (gcr3 >> 12 & 0b111) << 58;
        let word = 3 | (gcr3 >> 15 & 0xffff) << 16 | 1 << 32 | (gcr3 >> 31) << 43;
        self.put_entry(DEVICE, [rights | guest, word]);
        // Four levels, domain 9, I.
        self.put_entry(
            HOST_DEVICE,
            [rights | 4 << 9 | self.host_tables.root(), 9 | 1 << 32],
        );
    }

    /// The first words of an entry; its others stay.
    pub(crate) fn put_entry<const N: usize>(&self, device: u16, words: [u64; N]) {
        for (n, word) in words.into_iter().enumerate() {
            put(&self.device_table, usize::from(device) * 4 + n, word);
        }
    }

    pub(crate) fn entry(&self, device: u16) -> [u64; 2] {
        [0, 1].map(|n| get(&self.device_table, usize::from(device) * 4 + n))
    }

    /// 128 devices, 256 commands, 256 events.
    fn enable(&self) {
        self.iommu.write64(0x00, self.device_table.phys().raw());
        self.iommu
            .write64(0x08, self.commands.phys().raw() | 8 << 56);
        self.iommu.write64(0x10, self.events.phys().raw() | 8 << 56);
        if self.iommu.options().snp {
            self.iommu.write64(0x20, self.semaphore.phys().raw());
            self.iommu.write64(0x28, self.semaphore.phys().raw());
        }
        self.iommu.write64(0x18, CONTROL);
        let running = CMD_BUF_RUN | EVENT_LOG_RUN;
        eventually(|| self.iommu.read64(STATUS) & running == running);
    }

    /// A COMPLETION_WAIT that stores the next number.
    pub(crate) fn wait(&mut self) -> (u64, u64) {
        self.waits += 1;
        (1 << 60 | self.semaphore.phys().raw() | 1, self.waits)
    }

    pub(crate) fn stored(&self) -> u64 {
        get(&self.semaphore, 0)
    }

    /// Writes entries and rings, without waiting.
    pub(crate) fn ring(&mut self, commands: &[(u64, u64)]) {
        for &(w0, w1) in commands {
            let index = self.tail as usize / 8;
            put(&self.commands, index, w0);
            put(&self.commands, index + 1, w1);
            self.tail = (self.tail + 16) % 0x1000;
        }
        self.barriers.before_doorbell();
        self.iommu.write32(0x2008, self.tail as u32);
    }

    /// Rings, and lets the IOMMU work until it has nothing to do or has stopped.
    pub(crate) fn run(&mut self, commands: &[(u64, u64)]) {
        self.ring(commands);
        self.iommu.settle();
    }

    pub(crate) fn runs(&self) -> bool {
        self.iommu.read64(STATUS) & CMD_BUF_RUN != 0
    }

    pub(crate) fn head(&self) -> u64 {
        self.iommu.read64(0x2000)
    }

    /// Where the slot of this number lies.
    pub(crate) fn slot(&self, number: u64) -> u64 {
        self.commands.phys().raw() + number * 16
    }

    /// CmdBufEn falls and rises.
    pub(crate) fn restart(&self) {
        self.iommu.write64(0x18, CONTROL & !CMD_BUF_EN);
        eventually(|| !self.runs());
        self.iommu.write64(0x18, CONTROL);
        self.iommu.settle();
    }

    /// Every event so far.
    pub(crate) fn logged(&self) -> Vec<(u64, u64)> {
        let tail = self.iommu.read64(0x2018) as usize / 8;
        let pairs = (0..tail).step_by(2);
        pairs
            .map(|n| (get(&self.events, n), get(&self.events, n + 1)))
            .collect()
    }

    pub(crate) fn protect(&self, rights: Rights) {
        self.tables.protect(0, PAGE, rights);
        self.host_tables.protect(0, PAGE, rights);
        self.barriers.publish_tables();
    }

    /// Both devices have cached the page read-only, and it is then made writable.
    pub(crate) fn upgraded(&self) {
        self.device.read(PAGE).unwrap();
        self.host_device.read(PAGE).unwrap();
        self.protect(Rights::ReadWrite);
    }

    pub(crate) fn returned(&self) {
        for root in [self.tables.root(), self.host_tables.root()] {
            self.model.returned(root, PAGE, PAGE | 0xfff);
        }
    }
}

/// Turns over until it is so, but not for ever.
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
    assert!((0..1000).any(|_| is_so()), "never");
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
