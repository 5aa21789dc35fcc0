//! An SMMUv3 with a device that has a TLB of its own.

use super::iommu::{Iommu, Table, patience};
use crate::ring_lock::Lock;
use crate::translation::translation;
use tlb_shootdown::iommu::smmuv3::{
    Asid, AsidSource, Config, Context, Memory, Smmu, StreamId, StreamSetup, SubstreamId,
    TranslationConfig,
};
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions, SmmuPort};

type Driver = Smmu<SmmuPort, ModelBarriers, Lock>;

const STREAM: u32 = 1;
const SUBSTREAM_BITS: u8 = 3;

pub(crate) struct Smmuv3 {
    driver: &'static Driver,
    port: SmmuPort,
    device: DevicePort,
    snoops: bool,
}

impl Smmuv3 {
    /// `snoops`: it follows the CPUs' broadcasts, for tables under the CPUs' ASIDs.
    pub(crate) fn new(model: &Model, snoops: bool) -> Self {
        let port = model.add_smmu(SmmuOptions {
            btm: snoops,
            ..SmmuOptions::default()
        });
        let memory = Memory {
            commands: model.share(0x1000, 0x1000),
            streams: model.share(64 * 16, 0x1000),
            events: Some(model.share(32 * 16, 0x1000)),
            message: None,
        };
        let config = Config {
            broadcast: snoops,
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
        let device = port.add_device(STREAM, ats);
        let setup = StreamSetup {
            stream: StreamId(STREAM),
            contexts: model.share(64 << SUBSTREAM_BITS, 0x1000),
            substream_bits: SUBSTREAM_BITS,
            ats: Some(12),
        };
        driver.add_stream(setup, &mut patience()).unwrap();
        Self {
            driver,
            port,
            device,
            snoops,
        }
    }
}

impl Iommu for Smmuv3 {
    fn tlb(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    fn reserve(&self, context: u32, table: Table) -> AttachKey {
        let context = Context {
            stream: StreamId(STREAM),
            substream: SubstreamId::new(context),
        };
        let asid = match table.id {
            Some(id) if self.snoops => AsidSource::Shared(Asid(id as u16)),
            _ => AsidSource::Private,
        };
        let translation = TranslationConfig {
            asid,
            ..translation(table.root)
        };
        self.driver.reserve(&[context], &translation).unwrap()
    }

    fn install(&self, key: AttachKey) {
        self.driver.install(key, &mut patience()).unwrap();
    }

    fn read(&self, context: u32, va: u64) -> Result<u64, String> {
        let read = self.device.substream(context).read(va);
        read.map_err(|fault| format!("{fault:?}"))
    }

    fn write(&self, context: u32, va: u64, value: u64) -> Result<(), String> {
        let written = self.device.substream(context).write(va, value);
        written.map_err(|fault| format!("{fault:?}"))
    }

    fn held(&self) -> usize {
        self.port.held() + self.device.held()
    }
}
