//! An AMD IOMMU with a device that has a TLB of its own, and processes by PASID.

use super::iommu::{Iommu, Table, patience};
use crate::ring_lock::Lock;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::amd::{
    self, Config, Context, DeviceId, DeviceKind, DeviceSetup, Memory, Pasid, Translation, gcr3_len,
};
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::amd::{AmdOptions, AmdPort, DeviceOptions, DevicePort};
use tlb_shootdown_model::platform::ModelBarriers;

type Driver = amd::Iommu<AmdPort, ModelBarriers, Lock>;

const DEVICE: u16 = 1;
const PASID_BITS: u8 = 9;

pub(crate) struct AmdIommu {
    driver: &'static Driver,
    port: AmdPort,
    device: DevicePort,
}

impl AmdIommu {
    pub(crate) fn new(model: &Model, kernel_tables: bool) -> Self {
        let port = model.add_amd(AmdOptions::default());
        let memory = Memory {
            commands: model.share(0x1000, 0x1000),
            devices: model.share(0x1000, 0x1000),
            events: Some(model.share(0x1000, 0x1000)),
            completion: model.share(0x1000, 0x1000),
        };
        let config = Config {
            kernel_tables,
            ..Config::new(port.capability())
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
            device: DeviceId(DEVICE),
            kind: DeviceKind::Pasid {
                gcr3: model.share(gcr3_len(PASID_BITS) as u64, 0x1000),
                pasid_bits: PASID_BITS,
                refuse_untagged: true,
            },
            ats: Some(32),
        };
        driver.add_device(setup, &mut patience()).unwrap();
        Self {
            driver,
            port,
            device,
        }
    }
}

impl Iommu for AmdIommu {
    fn tlb(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    fn reserve(&self, context: u32, table: Table) -> AttachKey {
        let context = Context {
            device: DeviceId(DEVICE),
            pasid: Pasid::new(context),
        };
        let root = PhysAddr::new(table.root);
        let translation = Translation::Process { root };
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
