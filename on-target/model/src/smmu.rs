//! The library's SMMUv3 driver on the model's registers, with one device.

use crate::broken::Broken;
use crate::platform::Platform;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::smmuv3::{
    AsidSource, Cacheability, Config, Context, Granule, Memory, Shareability, Smmu, StreamId,
    StreamSetup, TableUpdates, TranslationConfig,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions, SmmuPort};

type Driver = Smmu<SmmuPort, ModelBarriers, IrqTicketLock<Platform>>;

const STREAM: u32 = 3;

/// How many turns the driver may wait for the SMMU.
const PATIENCE: u32 = 10_000;

/// The SMMU and the device behind it.
pub(crate) struct Iommu {
    pub(crate) driver: &'static Driver,
    pub(crate) device: DevicePort,
    platform: &'static Platform,
}

impl Iommu {
    /// The SMMU brought up, its device translated, and no address space attached.
    pub(crate) fn new(platform: &'static Platform) -> Result<Self, Broken> {
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
        let driver: &'static Driver = Box::leak(Box::new(driver));
        let iommu = Self {
            driver,
            device,
            platform,
        };
        driver.init(&mut iommu.patience()).map_err(Broken::set_up)?;
        let setup = StreamSetup {
            stream: StreamId(STREAM),
            contexts,
            substream_bits: 0,
            ats: None,
        };
        driver
            .add_stream(setup, &mut iommu.patience())
            .map_err(Broken::set_up)?;
        Ok(iommu)
    }

    /// Takes a place for the table at `root`, which the device does not walk yet.
    pub(crate) fn reserve(&self, root: u64) -> Result<AttachKey, Broken> {
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

    /// Lets the device walk that table.
    pub(crate) fn install(&self, key: AttachKey) -> Result<(), Broken> {
        self.driver
            .install(key, &mut self.patience())
            .map_err(Broken::set_up)
    }

    /// Takes the table away from the device again.
    pub(crate) fn detach(&self, key: AttachKey) -> Result<(), Broken> {
        self.driver
            .detach(key, &mut self.patience())
            .map_err(Broken::set_up)
    }

    fn patience(&self) -> impl FnMut() -> bool + use<> {
        let platform = self.platform;
        let mut turns = 0;
        move || {
            platform.relax();
            turns += 1;
            turns < PATIENCE
        }
    }
}
