//! A unit with one device, one PASID and one page table, driven by raw words: nothing of the library's is used here.

use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::vtd::{DeviceOptions, DevicePort, VtdOptions, VtdPort};
use tlb_shootdown_model::{Model, Temper};

pub(crate) const PAGE: u64 = 0x40_0000;
/// Bus 2, device 1, function 0.
pub(crate) const SID: u16 = 0x0208;
pub(crate) const PASID: u32 = 0x123;
/// The PASID of requests without one.
pub(crate) const RID_PASID: u32 = 0x124;

/// PASID-based IOTLB invalidation of the page, domain 1, PASID 0x123.
pub(crate) const PAGE_INV: (u64, u64) = (0x0000_0123_0001_0036, PAGE);
/// The same of the whole PASID.
pub(crate) const PASID_INV: (u64, u64) = (0x0000_0123_0001_0026, 0);
/// PASID-based device-TLB invalidation of the page, source 0x0208.
pub(crate) const DEVICE_INV: (u64, u64) = (0x0000_0123_0208_0008, PAGE);
/// PASID-cache invalidation of PASID 0x123 in domain 1.
pub(crate) const CACHE_INV: (u64, u64) = (0x0000_0123_0001_0017, 0);
/// Context-cache invalidation of source 0x0208.
pub(crate) const CONTEXT_INV: (u64, u64) = (0x0000_0208_0000_0031, 0);
/// A wait that is a fence and nothing else.
pub(crate) const FENCE: (u64, u64) = (0x45, 0);

/// Registers (11.4).
pub(crate) const GCMD: usize = 0x18;
pub(crate) const GSTS: usize = 0x1c;
pub(crate) const FSTS: usize = 0x34;
pub(crate) const IQH: usize = 0x80;
pub(crate) const IQT: usize = 0x88;
pub(crate) const IQER: usize = 0xb0;
/// GCMD.TE and GCMD.QIE, which stay set.
pub(crate) const ENABLED: u32 = 1 << 31 | 1 << 26;
/// FSTS.
pub(crate) const IQE: u32 = 1 << 4;
pub(crate) const ICE: u32 = 1 << 5;
pub(crate) const ITE: u32 = 1 << 6;

/// Bytes of the queue: one page.
pub(crate) const QUEUE: u32 = 0x1000;

pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) unit: VtdPort,
    /// The device under PASID 0x123.
    pub(crate) device: DevicePort,
    pub(crate) tables: Tables,
    pub(crate) frame: u64,
    pub(crate) queue: DmaRegion,
    pub(crate) status: DmaRegion,
    pub(crate) root: DmaRegion,
    pub(crate) contexts: DmaRegion,
    pub(crate) directory: DmaRegion,
    pub(crate) pasids: DmaRegion,
    pub(crate) barriers: ModelBarriers,
    wide: bool,
    tail: u32,
}

impl Rig {
    pub(crate) fn new(options: VtdOptions, device: DeviceOptions) -> Self {
        Self::with_temper(options, device, Temper::Late)
    }

    pub(crate) fn plain() -> Self {
        Self::new(VtdOptions::default(), DeviceOptions::default())
    }

    pub(crate) fn with_ats() -> Self {
        Self::new(VtdOptions::default(), ats())
    }

    pub(crate) fn with_temper(options: VtdOptions, device: DeviceOptions, temper: Temper) -> Self {
        let mut rig = Self::build(options, device, temper, true);
        rig.enable();
        rig
    }

    /// A queue of 128-bit descriptors.
    pub(crate) fn narrow() -> Self {
        let options = VtdOptions::default();
        let mut rig = Self::build(options, DeviceOptions::default(), Temper::Late, false);
        rig.enable();
        rig
    }

    fn build(options: VtdOptions, device: DeviceOptions, temper: Temper, wide: bool) -> Self {
        let model = Model::new(1, temper);
        let unit = model.add_vtd(options);
        let tables = model.x86_tables();
        let frame = model.allocate(0x1000);
        tables.map(0, PAGE, Mapping::page(frame, Rights::ReadOnly));
        Self {
            device: unit.add_device(SID, device).pasid(PASID),
            queue: model.share(QUEUE.into(), 0x1000),
            status: model.share(0x1000, 0x1000),
            root: model.share(0x1000, 0x1000),
            contexts: model.share(0x1000, 0x1000),
            directory: model.share(0x1000, 0x1000),
            pasids: model.share(0x1000, 0x1000),
            barriers: ModelBarriers::new(model.clone()),
            tables,
            frame,
            model,
            unit,
            wide,
            tail: 0,
        }
    }

    /// Tables, then root table, translation and queue.
    fn enable(&mut self) {
        // Root entry of bus 2, lower half.
        put(&self.root, 2 * 2, self.contexts.phys().raw() | 1);
        self.put_context(0b1101);
        // Directory entry of PASIDs 0x100 to 0x13f.
        put(&self.directory, 4, self.pasids.phys().raw() | 1);
        self.put_pasid(PASID, self.tables.root());
        self.put_pasid(RID_PASID, self.tables.root());
        self.publish();
        for region in [&self.root, &self.contexts, &self.directory, &self.pasids] {
            self.clean(region);
        }
        self.unit.write64(0x20, self.root.phys().raw() | 0b01 << 10);
        self.command(1 << 30, 1 << 30);
        let wide = u64::from(self.wide) << 11;
        self.unit.write64(0x90, self.queue.phys().raw() | wide);
        self.command(ENABLED, ENABLED);
    }

    /// Writes GCMD, and waits for these bits of GSTS.
    pub(crate) fn command(&self, value: u32, until: u32) {
        self.unit.write32(GCMD, value);
        while self.unit.read32(GSTS) & until != until {}
    }

    /// The context entry of function 8 with these flags: P, FPD, DTE and PASIDE.
    pub(crate) fn put_context(&self, flags: u64) {
        put(&self.contexts, 8 * 4 + 1, RID_PASID.into());
        put(&self.contexts, 8 * 4, self.directory.phys().raw() | flags);
    }

    /// A first-stage entry of domain 1: PGTT, AW, P.
    pub(crate) fn put_pasid(&self, pasid: u32, root: u64) {
        let at = (pasid & 0x3f) as usize * 8;
        put(&self.pasids, at + 1, 1);
        put(&self.pasids, at + 2, root);
        put(&self.pasids, at, 1 << 6 | 2 << 2 | 1);
    }

    pub(crate) fn clear_pasid(&self, pasid: u32) {
        let at = (pasid & 0x3f) as usize * 8;
        for word in (0..8).rev() {
            put(&self.pasids, at + word, 0);
        }
        self.publish();
    }

    /// A wait that writes `data` to the status word.
    pub(crate) fn wait(&self, data: u64) -> (u64, u64) {
        (data << 32 | 0x25, self.status.phys().raw())
    }

    pub(crate) fn status(&self) -> u64 {
        get(&self.status, 0)
    }

    /// Writes descriptors and rings, without waiting.
    pub(crate) fn ring(&mut self, descriptors: &[(u64, u64)]) {
        for &(w0, w1) in descriptors {
            self.put_descriptor([w0, w1, 0, 0]);
        }
        self.doorbell();
    }

    /// Puts one descriptor behind the last.
    pub(crate) fn put_descriptor(&mut self, words: [u64; 4]) {
        let count = if self.wide { 4 } else { 2 };
        for (index, word) in words.into_iter().take(count).enumerate() {
            put(&self.queue, self.tail as usize / 8 + index, word);
        }
        self.tail = (self.tail + count as u32 * 8) % QUEUE;
    }

    pub(crate) fn doorbell(&self) {
        self.barriers.before_doorbell();
        self.unit.write32(IQT, self.tail);
    }

    /// Rings, and lets the unit work until it has nothing to do or has stopped.
    pub(crate) fn run(&mut self, descriptors: &[(u64, u64)]) {
        self.ring(descriptors);
        self.unit.settle();
    }

    /// Runs, and ends with a wait that completes.
    pub(crate) fn complete(&mut self, descriptors: &[(u64, u64)]) {
        put(&self.status, 0, 0);
        let wait = self.wait(7);
        self.ring(descriptors);
        self.run(&[wait]);
        assert_eq!(self.status(), 7);
    }

    /// The index of the head.
    pub(crate) fn head(&self) -> u32 {
        self.unit.read32(IQH) / if self.wide { 32 } else { 16 }
    }

    /// IQE, ICE and ITE.
    pub(crate) fn errors(&self) -> u32 {
        self.unit.read32(FSTS) & (IQE | ICE | ITE)
    }

    /// IQER.IQEI.
    pub(crate) fn reason(&self) -> u64 {
        self.unit.read64(IQER) & 0xf
    }

    pub(crate) fn clear(&self, errors: u32) {
        self.unit.write32(FSTS, errors);
    }

    pub(crate) fn publish(&self) {
        self.barriers.publish_tables();
    }

    pub(crate) fn clean(&self, region: &DmaRegion) {
        self.barriers
            .clean_lines(region.virt().as_ptr(), region.len());
    }

    /// A device that has cached the page read-only, which is then made writable.
    pub(crate) fn upgrade(&self) {
        self.device.read(PAGE).unwrap();
        self.tables.protect(0, PAGE, Rights::ReadWrite);
        self.publish();
    }

    pub(crate) fn returned(&self) {
        self.model.returned(self.tables.root(), PAGE, PAGE | 0xfff);
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.model.violations(), []);
    }
}

pub(crate) fn ats() -> DeviceOptions {
    DeviceOptions {
        ats: true,
        ..DeviceOptions::default()
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
