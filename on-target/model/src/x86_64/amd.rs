//! The library's driver of AMD IOMMUs on the model's registers, with one device that has PASIDs.

use crate::broken::Broken;
use crate::family::{self, patience};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::arch::{Arch, HardwareId};
use tlb_shootdown::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu as Driver, Memory, Pasid,
    Translation, gcr3_len,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::amd::{AmdOptions, AmdPort, DeviceFault, DeviceOptions, DevicePort};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_scenarios::{Access, Refusal};

const DEVICE: u16 = 0x18;
const PASID: u32 = 5;
const PASID_BITS: u8 = 9;

/// The IOMMU and the device behind it.
pub(super) struct Iommu<A: Arch + 'static> {
    driver: &'static Driver<AmdPort, ModelBarriers, IrqTicketLock<ModelPlatform<A>>>,
    device: DevicePort,
    platform: &'static ModelPlatform<A>,
}

impl<A: Arch> Iommu<A> {
    /// The IOMMU brought up, its device translated, and no address space attached.
    pub(super) fn new(platform: &'static ModelPlatform<A>) -> Result<Self, Broken> {
        let model = platform.model();
        let port = model.add_amd(AmdOptions::default());
        let device = port.add_device(DEVICE, DeviceOptions::default());
        let memory = Memory {
            commands: model.share(16 * 256, 0x1000),
            devices: model.share(0x1000, 0x1000),
            events: Some(model.share(16 * 256, 0x1000)),
            completion: model.share(8, 8),
        };
        let gcr3 = model.share(gcr3_len(PASID_BITS) as u64, 0x1000);
        let config = Config::new(port.capability());
        let barriers = ModelBarriers::new(model.clone());
        let lock = IrqTicketLock::new(platform);
        let driver = Driver::new(port, barriers, lock, memory, config).map_err(Broken::set_up)?;
        // One machine for the whole table: attached spaces want a driver that lives for ever.
        let driver: &'static Driver<_, _, _> = Box::leak(Box::new(driver));
        driver
            .init(&mut patience(platform))
            .map_err(Broken::set_up)?;
        let setup = DeviceSetup {
            device: DeviceId(DEVICE),
            kind: DeviceKind::Pasid {
                gcr3,
                pasid_bits: PASID_BITS,
                refuse_untagged: true,
            },
            ats: None,
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
            device: DeviceId(DEVICE),
            pasid: Pasid::new(PASID),
        };
        let root = PhysAddr::new(root);
        self.driver
            .reserve(&[context], &Translation::Process { root })
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
