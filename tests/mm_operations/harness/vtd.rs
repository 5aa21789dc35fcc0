//! A VT-d unit in scalable mode with a device that has a TLB of its own.

use super::iommu::{Iommu, Table, patience};
use crate::ring_lock::Lock;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Pasid, SourceId, TranslationConfig,
    Vtd, pasid_table_bytes,
};
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::vtd::{DeviceOptions, DevicePort, VtdOptions, VtdPort};

type Driver = Vtd<VtdPort, ModelBarriers, Lock>;

/// Bus 2, device 1, function 0.
const DEVICE: u16 = 0x0208;
const PASID_BITS: u8 = 8;

pub(crate) struct VtdUnit {
    driver: &'static Driver,
    port: VtdPort,
    device: DevicePort,
}

impl VtdUnit {
    pub(crate) fn new(model: &Model, kernel_tables: bool) -> Self {
        let port = model.add_vtd(VtdOptions::default());
        let memory = Memory {
            queue: model.share(0x1000, 0x1000),
            status: model.share(0x1000, 0x1000),
            root: model.share(0x1000, 0x1000),
            contexts: model.share(0x1000, 0x1000),
        };
        let config = Config {
            kernel_tables,
            ..Config::new()
        };
        let barriers = ModelBarriers::new(model.clone());
        let driver = Driver::new(port.clone(), barriers, Lock::default(), memory, config).unwrap();
        let driver: &'static Driver = Box::leak(Box::new(driver));
        driver.init(&mut patience()).unwrap();
        let ats = DeviceOptions {
            ats: true,
            ..DeviceOptions::default()
        };
        let device = port.add_device(DEVICE, ats);
        let setup = DeviceSetup {
            device: SourceId(DEVICE),
            pasids: Some(model.share(pasid_table_bytes(PASID_BITS) as u64, 0x1000)),
            pasid_bits: PASID_BITS,
            device_tlb: Some(DeviceTlb {
                queue_depth: 4,
                physical_function: SourceId(DEVICE),
                flush_twice: false,
            }),
            page_requests: false,
        };
        driver.add_device(setup, &mut patience()).unwrap();
        Self {
            driver,
            port,
            device,
        }
    }
}

impl Iommu for VtdUnit {
    fn tlb(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    fn reserve(&self, context: u32, table: Table) -> AttachKey {
        let context = Context {
            device: SourceId(DEVICE),
            pasid: Pasid::new(context),
        };
        let translation = TranslationConfig {
            root: PhysAddr::new(table.root),
            levels: Levels::Four,
        };
        self.driver.reserve(&[context], &translation).unwrap()
    }

    fn install(&self, key: AttachKey) {
        self.driver.install(key, &mut patience()).unwrap();
    }

    fn read(&self, context: u32, va: u64) -> Result<u64, String> {
        let read = self.device.pasid(context).read(va);
        read.map_err(|fault| format!("{fault:?}"))
    }

    fn write(&self, context: u32, va: u64, value: u64) -> Result<(), String> {
        let written = self.device.pasid(context).write(va, value);
        written.map_err(|fault| format!("{fault:?}"))
    }

    fn held(&self) -> usize {
        self.port.held() + self.device.held()
    }
}
