//! A link with one context of one device and one process, driven by raw words: nothing of the library's is used here.

use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::ocxl::{DevicePort, LinkOptions, LinkPort};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::{Model, Temper};

pub(crate) const PAGE: u64 = 0x40_0000;
pub(crate) const HUGE: u64 = 0x2040_0000;
pub(crate) const PID: u32 = 0x42;
pub(crate) const PASID: u32 = 3;
/// Bus 4, device 0, function 1.
pub(crate) const FUNCTION: u16 = 0x0401;

/// LNCH of one 4 KiB page and of the whole process 0x42, and AVA and STAT.
pub(crate) const ONE_PAGE: u64 = 0xc004_0000_8400_0000;
pub(crate) const WHOLE: u64 = 0xc00c_0000_8440_0000;
pub(crate) const LNCH: usize = 0;
pub(crate) const AVA: usize = 8;
pub(crate) const STAT: usize = 16;
/// SF, HV, XLAT radix under radix, PR, DR.
pub(crate) const CONFIG: u64 = 1 << 63 | 1 << 60 | 3 << 57 | 1 << 14 | 1 << 4;
pub(crate) const VALID: u64 = 0x8000_0000;

pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) link: LinkPort,
    pub(crate) device: DevicePort,
    pub(crate) tables: Tables,
    pub(crate) frame: u64,
    pub(crate) area: DmaRegion,
    pub(crate) on: ModelInstructions,
}

impl Rig {
    pub(crate) fn new(options: LinkOptions) -> Self {
        let model = Model::with_power_cpus(&[CpuFeatures::POWER10], Temper::Late);
        let link = model.add_link(options);
        let tables = model.radix_tables();
        let frame = model.allocate(0x1000);
        let rig = Self {
            device: link.device(FUNCTION, PASID),
            area: model.share(16 * 128, 0x1000),
            on: ModelInstructions::new(model.clone()),
            frame,
            tables,
            link,
            model,
        };
        rig.tables
            .map(0, PAGE, Mapping::page(frame, Rights::ReadOnly));
        rig.model.set_process(PID, Some(rig.tables.root()));
        rig.link
            .set_process_area(rig.area.phys().raw(), rig.area.len() as u64);
        rig.put_element(PASID, PID);
        rig.on.ptesync();
        rig
    }

    /// Fills an element, validity last and in order.
    pub(crate) fn put_element(&self, pasid: u32, pid: u32) {
        let names = u64::from(pasid) << 44 | u64::from(FUNCTION) << 16;
        self.put(pasid, 0, CONFIG);
        self.put(pasid, 1, names);
        self.put(pasid, 7, pid.into());
        self.publish();
        self.put(pasid, 15, VALID);
        self.publish();
    }

    /// Stores one doubleword of an element.
    pub(crate) fn put(&self, pasid: u32, index: usize, value: u64) {
        let at = pasid as usize * 16 + index;
        assert!(at * 8 < self.area.len());
        // SAFETY: within the region, as was just checked.
        let at = unsafe { self.area.virt().cast::<u64>().add(at) };
        // SAFETY: the region is memory of the machine that nobody else writes meanwhile.
        unsafe { at.write_volatile(value.to_be()) };
    }

    pub(crate) fn publish(&self) {
        ModelBarriers::new(self.model.clone()).before_doorbell();
    }

    pub(crate) fn write(&self, at: usize, value: u64) {
        self.link.write64(at, value.to_be());
    }

    /// STAT says that an invalidation is under way.
    pub(crate) fn pending(&self) -> bool {
        let value = u64::from_be(self.link.read64(STAT));
        assert_eq!(value & !(1 << 63), 0);
        value != 0
    }

    /// Launches, and polls until it is done.
    pub(crate) fn launch(&self, word: u64, address: u64) {
        self.write(AVA, address);
        self.write(LNCH, word);
        let polls = (0..10).take_while(|_| self.pending()).count();
        assert!((1..10).contains(&polls));
    }

    pub(crate) fn unmap(&self) {
        self.device.read(PAGE).unwrap();
        self.tables.unmap(0, PAGE);
        self.on.ptesync();
    }

    pub(crate) fn returned(&self) {
        self.model.returned(self.tables.root(), 0, u64::MAX);
    }

    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.model.violations(), []);
    }
}

/// The nest MMU holds this after its flush has returned.
pub(crate) const fn held(va: u64) -> Violation {
    Violation::HeldStale {
        holder: Holder::Iommu(0),
        va,
    }
}
