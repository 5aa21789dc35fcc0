//! A small kernel with one AMD IOMMU. No CPU runs its processes: what is flushed is flushed for the devices.

use std::sync::Mutex;
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::error::{FlushError, Incomplete};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::amd::{
    AttachError, Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Pasid,
    Translation, gcr3_len,
};
use tlb_shootdown::lock::RingLock;
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::amd::{AmdOptions, AmdPort, DeviceOptions, DevicePort};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform, PlainArch};
use tlb_shootdown_model::{Model, Temper};

pub(crate) const BASE: u64 = 0x40_0000;

#[derive(Default)]
pub(crate) struct Lock(Mutex<()>);

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        f()
    }
}

type Platform = ModelPlatform<PlainArch>;
pub(crate) type Engine = Shootdown<Platform, 1>;
pub(crate) type Space = AddressSpace<PlainArch, 1>;
pub(crate) type Driver = Iommu<AmdPort, ModelBarriers, Lock>;

/// How a process's device is translated, and whether it has a TLB of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Nothing: a host table.
    pub(crate) pasid: Option<u32>,
    pub(crate) ats: bool,
}

/// A PASID of nine bits.
pub(crate) const PASID: u32 = 0x145;

/// Both ways of translation, with and without device TLBs.
pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        pasid: Some(PASID),
        ats: false,
    },
    Kind {
        pasid: Some(PASID),
        ats: true,
    },
    Kind {
        pasid: None,
        ats: false,
    },
    Kind {
        pasid: None,
        ats: true,
    },
];

/// A process on a PASID of a device with a TLB.
pub(crate) const SHARED: Kind = KINDS[1];

/// A process with a device of its own.
pub(crate) struct Process {
    pub(crate) space: Space,
    pub(crate) tables: Tables,
    pub(crate) key: AttachKey,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) device: DevicePort,
}

impl Process {
    pub(crate) fn page(&self, n: u64) -> u64 {
        BASE + (n << 12)
    }
}

pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) port: AmdPort,
    pub(crate) iommu: &'static Driver,
    pub(crate) engine: Engine,
    pub(crate) platform: Platform,
    barriers: ModelBarriers,
}

/// Kind, late, and many seeds.
pub(crate) fn tempers() -> impl Iterator<Item = Temper> {
    [Temper::Kind, Temper::Late]
        .into_iter()
        .chain((1..20).map(Temper::Seeded))
}

impl Rig {
    pub(crate) fn new(temper: Temper) -> Self {
        Self::with(temper, AmdOptions::default())
    }

    pub(crate) fn with(temper: Temper, options: AmdOptions) -> Self {
        let model = Model::new(1, temper);
        let port = model.add_amd(options);
        let platform = Platform::new(model.clone());
        platform.set_current(0);
        let patience = Patience {
            nanoseconds: 5_000_000,
            turns: 5000,
        };
        let arch = PlainArch::new(model.clone());
        let engine = Engine::with_patience(platform.clone(), arch, patience);
        engine.cpu_online().unwrap();
        let memory = Memory {
            commands: model.share(0x1000, 0x1000),
            devices: model.share(0x1000, 0x1000),
            events: Some(model.share(0x1000, 0x1000)),
            completion: model.share(0x1000, 0x1000),
        };
        let barriers = ModelBarriers::new(model.clone());
        let config = Config {
            snp: options.snp,
            ..Config::new(port.capability())
        };
        let lock = Lock::default();
        let iommu = Driver::new(port.clone(), barriers.clone(), lock, memory, config);
        let iommu: &'static Driver = Box::leak(Box::new(iommu.unwrap()));
        let rig = Self {
            model,
            port,
            iommu,
            engine,
            platform,
            barriers,
        };
        rig.iommu.init(&mut rig.turns(1_000_000)).unwrap();
        rig.model.take_counts();
        rig
    }

    /// The caller's patience, in turns of the machine.
    pub(crate) fn patience(&self) -> impl FnMut() -> bool + '_ {
        self.turns(10_000)
    }

    fn turns(&self, mut left: u32) -> impl FnMut() -> bool + '_ {
        move || {
            self.platform.relax();
            left -= 1;
            left > 0
        }
    }

    /// A process on a device of its own, with `pages` pages mapped read-only.
    pub(crate) fn process(&self, device: u16, kind: Kind, pages: u64) -> Process {
        self.add_device(device, kind);
        self.process_on(device, kind, pages)
    }

    /// A device with nothing attached.
    pub(crate) fn add_device(&self, device: u16, kind: Kind) {
        let options = DeviceOptions {
            ats: kind.ats,
            restless: true,
            ..DeviceOptions::default()
        };
        self.port.add_device(device, options);
        let translated = match kind.pasid {
            None => DeviceKind::Host,
            Some(pasid) => {
                let pasid_bits = (32 - pasid.leading_zeros() as u8).max(9);
                let bytes = gcr3_len(pasid_bits) as u64;
                DeviceKind::Pasid {
                    gcr3: self.model.share(bytes, 0x1000),
                    pasid_bits,
                    refuse_untagged: true,
                }
            }
        };
        let setup = DeviceSetup {
            device: DeviceId(device),
            kind: translated,
            ats: kind.ats.then_some(32),
        };
        self.iommu.add_device(setup, &mut self.patience()).unwrap();
    }

    /// A process on a device that is there already.
    pub(crate) fn process_on(&self, device: u16, kind: Kind, pages: u64) -> Process {
        let (tables, port) = match kind.pasid {
            Some(pasid) => (
                self.model.x86_tables(),
                self.port.device(device).pasid(pasid),
            ),
            None => (self.model.amd_host_tables(), self.port.device(device)),
        };
        for n in 0..pages {
            let frame = self.model.allocate(0x1000);
            tables.map(0, BASE + (n << 12), Mapping::page(frame, Rights::ReadOnly));
        }
        self.publish();
        let context = context(device, kind);
        let space = self.engine.new_space();
        let (key, attachment) = self.attach(&space, &tables, &[context]).unwrap();
        Process {
            space,
            tables,
            key,
            attachment: Some(attachment),
            device: port,
        }
    }

    /// Lets devices use a table: known to the engine before it is reachable.
    pub(crate) fn attach(
        &self,
        space: &Space,
        tables: &Tables,
        contexts: &[Context],
    ) -> Result<(AttachKey, Attachment), AttachError> {
        let root = PhysAddr::new(tables.root());
        let translation = match contexts[0].pasid {
            Some(_) => Translation::Process { root },
            None => Translation::Host { root, levels: 4 },
        };
        let key = self.iommu.reserve(contexts, &translation)?;
        let attachment = self.engine.attach(space, self.iommu, key).unwrap();
        self.iommu.install(key, &mut self.patience())?;
        Ok((key, attachment))
    }

    pub(crate) fn detach(&self, process: &mut Process) {
        self.iommu
            .detach(process.key, &mut self.patience())
            .unwrap();
        if let Some(attachment) = process.attachment.take() {
            self.engine.detach(&process.space, attachment).unwrap();
        }
    }

    pub(crate) fn publish(&self) {
        self.barriers.publish_tables();
    }

    /// A whole shootdown; the oracle excuses nothing in it any more.
    pub(crate) fn flush(&self, process: &Process, first: u64, count: u64) -> Cost {
        let cost = self.try_flush(process, first, count).unwrap();
        self.returned(process, first, count);
        cost
    }

    pub(crate) fn try_flush(
        &self,
        process: &Process,
        first: u64,
        count: u64,
    ) -> Result<Cost, FlushError<1>> {
        self.engine
            .flush(&process.space, pages(process, first, count))
    }

    pub(crate) fn upgrade(&self, process: &Process, first: u64) {
        let flush = pages(process, first, 1).leaf_only();
        self.engine.flush_upgrade(&process.space, flush).unwrap();
        self.returned(process, first, 1);
    }

    pub(crate) fn returned(&self, process: &Process, first: u64, count: u64) {
        let end = process.page(first + count) - 1;
        self.model
            .returned(process.tables.root(), process.page(first), end);
    }

    pub(crate) fn sink(&self) -> Sink {
        Sink(self.model.clone())
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self, what: impl core::fmt::Debug) {
        assert_eq!(self.model.violations(), [], "{what:?}");
    }
}

pub(crate) fn pages(process: &Process, first: u64, count: u64) -> Flush {
    let start = VirtAddr::new(process.page(first));
    Flush::pages(PageRange::from_len(start, count << 12, PageSize::KIB_4).unwrap())
}

/// Where in a device a space of this kind is used.
pub(crate) fn context(device: u16, kind: Kind) -> Context {
    Context {
        device: DeviceId(device),
        pasid: kind.pasid.and_then(Pasid::new),
    }
}

/// Frees frames and tables of the machine.
pub(crate) struct Sink(Model);

impl FrameSink<1> for Sink {
    fn release_frame(&self, base: PhysAddr, _size: PageSize) {
        self.0.free(base.raw());
    }

    fn release_table(&self, base: PhysAddr) {
        self.0.free(base.raw());
    }

    fn quarantine(&self, _items: &[Item], error: &Incomplete<1>) {
        // A second panic while one unwinds would end every test.
        assert!(
            std::thread::panicking(),
            "nothing times out here: {error:?}"
        );
    }
}
