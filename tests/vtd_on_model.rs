//! The VT-d driver on the adversarial machine: lazy, out of order between two fences, decoded by constants of its own, judged by an
//! oracle that reports every stale entry that is used or held after its fence was reached.

use std::sync::Mutex;
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::vtd::{
    AttachError, Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Pasid, SourceId,
    TranslationConfig, Vtd, pasid_table_bytes,
};
use tlb_shootdown::lock::RingLock;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, SecondaryError, SecondaryTlb,
};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::vtd::{DeviceOptions, DevicePort, VtdOptions, VtdPort};
use tlb_shootdown_model::{Model, Temper};

const BASE: u64 = 0x40_0000;
const TEMPERS: [Temper; 2] = [Temper::Kind, Temper::Late];

#[derive(Default)]
struct Lock(Mutex<()>);

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

/// One process with a device of its own.
struct Process {
    key: AttachKey,
    tables: Tables,
    device: DevicePort,
}

impl Process {
    fn page(&self, n: u64) -> u64 {
        BASE + (n << 12)
    }
}

struct Rig {
    model: Model,
    port: VtdPort,
    vtd: Vtd<VtdPort, ModelBarriers, Lock>,
    barriers: ModelBarriers,
}

/// The caller's patience, in turns.
fn patience() -> impl FnMut() -> bool {
    let mut left = 10_000;
    move || {
        left -= 1;
        left > 0
    }
}

fn memory(model: &Model) -> Memory {
    Memory {
        queue: model.share(0x1000, 0x1000),
        status: model.share(0x1000, 0x1000),
        root: model.share(0x1000, 0x1000),
        contexts: model.share(0x1000, 0x1000),
    }
}

impl Rig {
    fn new(temper: Temper, options: VtdOptions, config: Config) -> Self {
        let model = Model::new(1, temper);
        let port = model.add_vtd(options);
        let barriers = ModelBarriers::new(model.clone());
        let vtd = Vtd::new(
            port.clone(),
            ModelBarriers::new(model.clone()),
            Lock::default(),
            memory(&model),
            config,
        )
        .unwrap();
        vtd.init(&mut patience()).unwrap();
        Self {
            model,
            port,
            vtd,
            barriers,
        }
    }

    fn setup(&self, sid: u16, options: &DeviceOptions) -> DeviceSetup {
        DeviceSetup {
            device: SourceId(sid),
            pasids: self.model.share(pasid_table_bytes(8) as u64, 0x1000),
            pasid_bits: 8,
            device_tlb: options.ats.then_some(DeviceTlb {
                queue_depth: 4,
                physical_function: SourceId(sid),
                flush_twice: options.needs_repeat,
            }),
            page_requests: false,
        }
    }

    /// A process with 4 writable pages, and a device that uses it.
    fn process(&self, sid: u16, pasid: Option<u32>, options: DeviceOptions) -> Process {
        let tables = self.model.x86_tables();
        for n in 0..4 {
            let frame = self.model.allocate(0x1000);
            tables.map(0, BASE + (n << 12), Mapping::page(frame, Rights::ReadWrite));
        }
        self.barriers.publish();
        let setup = self.setup(sid, &options);
        let port = self.port.add_device(sid, options);
        self.vtd.add_device(setup, &mut patience()).unwrap();
        let key = self.attach(sid, pasid, tables.root()).unwrap();
        Process {
            key,
            tables,
            device: match pasid {
                Some(pasid) => port.pasid(pasid),
                None => port,
            },
        }
    }

    fn attach(&self, sid: u16, pasid: Option<u32>, root: u64) -> Result<AttachKey, AttachError> {
        let context = Context {
            device: SourceId(sid),
            pasid: pasid.map(|pasid| Pasid::new(pasid).unwrap()),
        };
        let translation = TranslationConfig {
            root: PhysAddr::new(root),
            levels: Levels::Four,
        };
        self.vtd.attach(&[context], &translation, &mut patience())
    }

    fn queue(&self, key: AttachKey, flush: Flush) -> Result<(), Full> {
        self.barriers.publish();
        let invalidation = Invalidation::Space { key, flush };
        self.vtd.queue(&invalidation, &mut Cost::default())
    }

    /// Queues, seals and waits.
    #[track_caller]
    fn flush(&self, process: &Process, first: u64, count: u64) -> Result<(), SecondaryError> {
        let start = process.page(first);
        let range = PageRange::from_len(VirtAddr::new(start), count << 12, PageSize::KIB_4);
        let flush = Flush::pages(range.unwrap());
        while self.queue(process.key, flush) == Err(Full) {
            let mut open = self.vtd.seal(&mut Cost::default());
            let _ = self.vtd.poll(&mut open, &mut Cost::default());
        }
        let fence = self.vtd.seal(&mut Cost::default());
        let result = self.finish(fence);
        if result.is_ok() {
            let last = start + (count << 12) - 1;
            self.model.returned(process.tables.root(), start, last);
        }
        result
    }

    #[track_caller]
    fn finish(&self, mut fence: Fence) -> Result<(), SecondaryError> {
        for _ in 0..100_000 {
            if let Poll::Ready(result) = self.vtd.poll(&mut fence, &mut Cost::default()) {
                return result;
            }
        }
        panic!("{fence:?} is still pending: {:?}", self.vtd);
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.model.violations(), []);
    }
}

trait Publish {
    fn publish(&self);
}

impl Publish for ModelBarriers {
    fn publish(&self) {
        tlb_shootdown::dma::DmaBarriers::publish_tables(self);
    }
}

fn ats() -> DeviceOptions {
    DeviceOptions {
        ats: true,
        ..DeviceOptions::default()
    }
}

/// Every kind of unit that differs in what a driver has to do.
fn units() -> Vec<(&'static str, VtdOptions, Config)> {
    let usual = VtdOptions::default();
    let careful = Config {
        wait_before_device_tlbs: true,
        ..Config::new()
    };
    vec![
        ("usual", usual, Config::new()),
        (
            "unordered",
            VtdOptions {
                orders_device_tlbs: false,
                ..usual
            },
            careful,
        ),
        (
            "caching mode",
            VtdOptions {
                caching_mode: true,
                ..usual
            },
            Config::new(),
        ),
        (
            "write buffer",
            VtdOptions {
                write_buffer: true,
                ..usual
            },
            Config::new(),
        ),
        (
            "not coherent",
            VtdOptions {
                coherent: false,
                ..usual
            },
            Config::new(),
        ),
        (
            "physical functions, small masks, restarted by the tail",
            VtdOptions {
                throttles: true,
                bare_fences: false,
                mamv: 0,
                resumes_on_clear: false,
                ..usual
            },
            Config::new(),
        ),
    ]
}

#[test]
fn promise_03_a_device_reads_no_page_that_was_unmapped() {
    for (name, options, config) in units() {
        for temper in TEMPERS {
            for (pasid, device) in [
                (None, DeviceOptions::default()),
                (Some(3), DeviceOptions::default()),
                (None, ats()),
                (Some(3), ats()),
            ] {
                let rig = Rig::new(temper, options, config);
                let process = rig.process(0x0208, pasid, device);
                for n in 0..4 {
                    process.device.read(process.page(n)).expect(name);
                }
                for n in 0..3 {
                    process.tables.unmap(0, process.page(n));
                }
                rig.flush(&process, 0, 3).expect(name);
                for n in 0..3 {
                    assert!(process.device.read(process.page(n)).is_err(), "{name}");
                }
                process.device.read(process.page(3)).expect(name);
                rig.assert_clean();
            }
        }
    }
}
