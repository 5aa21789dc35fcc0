//! The library's SMMUv3 on the model, with devices that share processes' tables.

use crate::random_kernel::{Attached, lend};
use crate::rig::{Platform, Process, Rig};
use crate::translation::translation;
use tlb_shootdown::iommu::smmuv3::{
    AsidSource, Completion, Config, Context, Memory, Smmu, StreamId, StreamSetup, SubstreamId,
    TranslationConfig,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions, SmmuPort};

pub(crate) type Driver = Smmu<SmmuPort, ModelBarriers, IrqTicketLock<Platform>>;

/// One SMMU, driven by the library.
pub(crate) struct Iommu {
    pub(crate) driver: &'static Driver,
    pub(crate) port: SmmuPort,
    platform: &'static Platform,
}

/// log2 of the substreams of each device.
const SUBSTREAM_BITS: u8 = 3;

impl Iommu {
    /// With a queue of 16 entries: small enough to be full often.
    pub(crate) fn new(rig: &Rig, options: SmmuOptions, completion: Completion) -> Self {
        Self::with_queue(rig, options, completion, 16 * 16)
    }

    pub(crate) fn with_queue(
        rig: &Rig,
        options: SmmuOptions,
        completion: Completion,
        bytes: u64,
    ) -> Self {
        let platform: &'static Platform = lend(rig.platform.clone());
        let model = &rig.model;
        let port = model.add_smmu(options);
        let memory = Memory {
            commands: model.share(bytes, 0x4000),
            streams: model.share(64 * 16, 0x1000),
            events: None,
            message: (completion == Completion::Msi).then(|| model.share(8, 8)),
        };
        let config = Config {
            completion,
            broadcast: options.btm,
            ..Config::new()
        };
        let barriers = ModelBarriers::new(model.clone());
        let lock = IrqTicketLock::new(platform);
        let driver = Driver::new(port.clone(), barriers, lock, memory, config).unwrap();
        let driver: &'static Driver = lend(driver);
        driver.init(&mut patience(platform)).unwrap();
        Self {
            driver,
            port,
            platform,
        }
    }

    /// A device whose contexts are all empty yet.
    pub(crate) fn add_device(&self, stream: u32, options: DeviceOptions) -> DevicePort {
        let device = self.port.add_device(stream, options);
        let setup = StreamSetup {
            stream: StreamId(stream),
            contexts: self.port.model().share(64 << SUBSTREAM_BITS, 0x1000),
            substream_bits: SUBSTREAM_BITS,
            ats: options.ats.then_some(12 + options.stu),
        };
        self.driver
            .add_stream(setup, &mut patience(self.platform))
            .unwrap();
        device
    }

    /// Lets the device use the process's table, in this substream or without one.
    pub(crate) fn attach(
        &self,
        rig: &Rig,
        process: &Process,
        stream: u32,
        substream: Option<u32>,
    ) -> Attached {
        let context = context(stream, substream);
        self.attach_with(rig, process, context, AsidSource::Private)
    }

    /// The same with this ASID.
    pub(crate) fn attach_with(
        &self,
        rig: &Rig,
        process: &Process,
        context: Context,
        asid: AsidSource,
    ) -> Attached {
        let translation = TranslationConfig {
            asid,
            ..translation(process.tables.root())
        };
        let key = self.driver.reserve(&[context], &translation).unwrap();
        let attachment = rig.engine.attach(process.space, self.driver, key).unwrap();
        self.driver
            .install(key, &mut patience(self.platform))
            .unwrap();
        Attached { key, attachment }
    }

    /// Takes the table away again.
    pub(crate) fn detach(&self, rig: &Rig, process: &Process, attached: Attached) {
        self.end(attached.key);
        rig.engine
            .detach(process.space, attached.attachment)
            .unwrap();
    }

    /// Detaches what the engine does not have attached any more, or not for long.
    pub(crate) fn end(&self, key: AttachKey) {
        self.driver
            .detach(key, &mut patience(self.platform))
            .unwrap();
    }
}

pub(crate) fn context(stream: u32, substream: Option<u32>) -> Context {
    Context {
        stream: StreamId(stream),
        substream: substream.map(|raw| SubstreamId::new(raw).unwrap()),
    }
}

fn patience(platform: &'static Platform) -> impl FnMut() -> bool {
    let mut turns = 0;
    move || {
        platform.relax();
        turns += 1;
        turns < 10_000
    }
}
