//! The library's driver of VT-d units on the model's registers, with one device that has PASIDs.

use crate::broken::Broken;
use crate::family::{self, patience};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::arch::{Arch, HardwareId};
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, Levels, Memory, Pasid, SourceId, TranslationConfig, Vtd,
    pasid_table_bytes,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, DevicePort, VtdOptions, VtdPort};
use tlb_shootdown_scenarios::{Access, Refusal};

const DEVICE: u16 = 0x18;
const PASID: u32 = 5;
const PASID_BITS: u8 = 8;

/// The unit and the device behind it.
pub(super) struct Iommu<A: Arch + 'static> {
    driver: &'static Vtd<VtdPort, ModelBarriers, IrqTicketLock<ModelPlatform<A>>>,
    device: DevicePort,
    platform: &'static ModelPlatform<A>,
}

impl<A: Arch> Iommu<A> {
    /// The unit brought up, its device translated, and no address space attached.
    pub(super) fn new(platform: &'static ModelPlatform<A>) -> Result<Self, Broken> {
        let model = platform.model();
        let port = model.add_vtd(VtdOptions::default());
        let device = port.add_device(DEVICE, DeviceOptions::default());
        let memory = Memory {
            queue: model.share(0x1000, 0x1000),
            status: model.share(0x1000, 0x1000),
            root: model.share(0x1000, 0x1000),
            contexts: model.share(0x1000, 0x1000),
        };
        let pasids = model.share(pasid_table_bytes(PASID_BITS) as u64, 0x1000);
        let barriers = ModelBarriers::new(model.clone());
        let lock = IrqTicketLock::new(platform);
        let driver =
            Vtd::new(port, barriers, lock, memory, Config::new()).map_err(Broken::set_up)?;
        // One machine for the whole table: attached spaces want a driver that lives for ever.
        let driver: &'static Vtd<_, _, _> = Box::leak(Box::new(driver));
        driver
            .init(&mut patience(platform))
            .map_err(Broken::set_up)?;
        let setup = DeviceSetup {
            device: SourceId(DEVICE),
            pasids: Some(pasids),
            pasid_bits: PASID_BITS,
            device_tlb: None,
            page_requests: false,
        };
        driver
            .add_device(setup, &mut patience(platform))
            .map_err(Broken::set_up)?;
        Ok(Self {
            driver,
            device: device.pasid(PASID),
            platform,
        })
    }
}

impl<A: Arch> family::Iommu for Iommu<A> {
    fn driver(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    fn reserve(&self, root: u64, _: HardwareId) -> Result<AttachKey, Broken> {
        let context = Context {
            device: SourceId(DEVICE),
            pasid: Pasid::new(PASID),
        };
        let translation = TranslationConfig {
            root: PhysAddr::new(root),
            levels: Levels::Four,
        };
        self.driver
            .reserve(&[context], &translation)
            .map_err(Broken::set_up)
    }

    fn install(&self, key: AttachKey) -> Result<(), Broken> {
        self.driver
            .install(key, &mut patience(self.platform))
            .map_err(Broken::set_up)
    }

    fn detach(&self, key: AttachKey) -> Result<(), Broken> {
        self.driver
            .detach(key, &mut patience(self.platform))
            .map_err(Broken::set_up)
    }

    fn read(&self, va: u64) -> Access {
        access(self.device.read(va))
    }

    fn write(&self, va: u64, word: u64) -> Access {
        access(self.device.write(va, word).map(|()| word))
    }
}

fn access(result: Result<u64, DeviceFault>) -> Access {
    match result {
        Ok(word) => Access::Done(word),
        Err(DeviceFault::NotPresent) => Access::Refused(Refusal::Translation),
        Err(DeviceFault::Permission) => Access::Refused(Refusal::Permission),
        Err(_) => Access::Refused(Refusal::Other),
    }
}
