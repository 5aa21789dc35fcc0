//! The library's SMMUv3 driver on the model's registers, with one device.

use crate::broken::Broken;
use crate::family::{self, patience};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::arch::{Arch, HardwareId};
use tlb_shootdown::iommu::smmuv3::{
    AsidSource, Cacheability, Config, Context, Granule, Memory, Shareability, Smmu, StreamId,
    StreamSetup, TableUpdates, TranslationConfig,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::smmuv3::{DeviceFault, DeviceOptions, DevicePort, SmmuOptions, SmmuPort};
use tlb_shootdown_scenarios::{Access, Refusal};

type Driver<A> = Smmu<SmmuPort, ModelBarriers, IrqTicketLock<ModelPlatform<A>>>;

const STREAM: u32 = 3;

/// The SMMU and the device behind it.
pub(super) struct Iommu<A: Arch + 'static> {
    driver: &'static Driver<A>,
    device: DevicePort,
    platform: &'static ModelPlatform<A>,
}

impl<A: Arch> Iommu<A> {
    /// The SMMU brought up, its device translated, and no address space attached.
    pub(super) fn new(platform: &'static ModelPlatform<A>) -> Result<Self, Broken> {
        let model = platform.model();
        let port = model.add_smmu(SmmuOptions::default());
        let device = port.add_device(STREAM, DeviceOptions::default());
        let memory = Memory {
            commands: model.share(16 * 64, 0x1000),
            streams: model.share(64 * 8, 0x1000),
            events: Some(model.share(32 * 8, 0x1000)),
            message: None,
        };
        let contexts = model.share(64, 0x1000);
        let barriers = ModelBarriers::new(model.clone());
        let lock = IrqTicketLock::new(platform);
        let driver =
            Driver::new(port, barriers, lock, memory, Config::new()).map_err(Broken::set_up)?;
        // One machine for the whole table: attached spaces want a driver that lives for ever.
        let driver: &'static Driver<A> = Box::leak(Box::new(driver));
        let iommu = Self {
            driver,
            device,
            platform,
        };
        driver
            .init(&mut patience(platform))
            .map_err(Broken::set_up)?;
        let setup = StreamSetup {
            stream: StreamId(STREAM),
            contexts,
            substream_bits: 0,
            ats: None,
        };
        driver
            .add_stream(setup, &mut patience(platform))
            .map_err(Broken::set_up)?;
        Ok(iommu)
    }
}

impl<A: Arch> family::Iommu for Iommu<A> {
    fn driver(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    fn reserve(&self, root: u64, _: HardwareId) -> Result<AttachKey, Broken> {
        let translation = TranslationConfig {
            root: PhysAddr::new(root),
            t0sz: 16,
            granule: Granule::Kib4,
            // 48 bits.
            ips: 5,
            mair: 0xff,
            shareability: Shareability::Inner,
            inner: Cacheability::WriteBack,
            outer: Cacheability::WriteBack,
            updates: TableUpdates::Software,
            asid: AsidSource::Private,
        };
        let context = Context {
            stream: StreamId(STREAM),
            substream: None,
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
        Err(DeviceFault::Translation) => Access::Refused(Refusal::Translation),
        Err(DeviceFault::Permission) => Access::Refused(Refusal::Permission),
        Err(_) => Access::Refused(Refusal::Other),
    }
}
