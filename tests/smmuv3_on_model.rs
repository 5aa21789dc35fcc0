//! The SMMUv3 driver on the adversarial machine: lazy, out of order between two CMD_SYNCs, decoded by constants of its own, judged by an
//! oracle that reports every stale entry that is used or held after its fence was reached.

#[path = "support/translation.rs"]
mod translation;

use std::sync::Mutex;
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::{
    AttachError, Completion, Config, Context, Memory, Regime, Smmu, StreamId, StreamSetup,
    SubstreamId,
};
use tlb_shootdown::lock::RingLock;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, SecondaryError, SecondaryTlb,
};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceFault, DeviceOptions, DevicePort, SmmuOptions, SmmuPort};
use tlb_shootdown_model::{Model, Temper};
use translation::translation;

const BASE: u64 = 0x40_0000;
const SUBSTREAM: u32 = 3;

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
    port: SmmuPort,
    smmu: Smmu<SmmuPort, ModelBarriers, Lock>,
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

impl Rig {
    fn new(temper: Temper, options: SmmuOptions, config: Config) -> Self {
        let model = Model::new(1, temper);
        let port = model.add_smmu(options);
        let memory = Memory {
            commands: model.share(16 << 4, 0x1000),
            streams: model.share(64 * 16, 0x1000),
            events: Some(model.share(32 * 16, 0x1000)),
            message: Some(model.share(8, 0x1000)),
        };
        let barriers = ModelBarriers::new(model.clone());
        let smmu = Smmu::new(
            port.clone(),
            barriers.clone(),
            Lock::default(),
            memory,
            config,
        );
        let rig = Self {
            model,
            port,
            smmu: smmu.unwrap(),
            barriers,
        };
        rig.smmu.init(&mut patience()).unwrap();
        rig
    }

    fn usual(temper: Temper) -> Self {
        Self::new(temper, SmmuOptions::default(), Config::new())
    }

    /// A process on a device of its own, with `pages` pages mapped read-only.
    fn process(&self, sid: u32, ats: bool, pages: u64) -> Process {
        let options = DeviceOptions {
            ats,
            ..DeviceOptions::default()
        };
        let device = self.port.add_device(sid, options).substream(SUBSTREAM);
        let setup = StreamSetup {
            stream: StreamId(sid),
            contexts: self.model.share(64 * 8, 0x1000),
            substream_bits: 3,
            ats: ats.then_some(12),
        };
        self.smmu.add_stream(setup, &mut patience()).unwrap();
        let tables = self.model.tables();
        for n in 0..pages {
            let frame = self.model.allocate(0x1000);
            tables.map(0, BASE + (n << 12), Mapping::page(frame, Rights::ReadOnly));
        }
        self.publish();
        let key = self.attach(sid, &tables).unwrap();
        Process {
            key,
            tables,
            device,
        }
    }

    fn attach(&self, sid: u32, tables: &Tables) -> Result<AttachKey, AttachError> {
        let context = Context {
            stream: StreamId(sid),
            substream: SubstreamId::new(SUBSTREAM),
        };
        self.smmu
            .attach(&[context], &translation(tables.root()), &mut patience())
    }

    fn publish(&self) {
        use tlb_shootdown::dma::DmaBarriers;
        self.barriers.publish_tables();
    }

    /// What the engine does after the page-table stores: makes them visible, queues, seals.
    fn start(&self, key: AttachKey, flush: Flush) -> Fence {
        self.publish();
        let mut cost = Cost::ZERO;
        let invalidation = Invalidation::Space { key, flush };
        for _ in 0..10_000 {
            match self.smmu.queue(&invalidation, &mut cost) {
                Ok(()) => return self.smmu.seal(&mut cost),
                Err(Full) => {
                    let mut open = self.smmu.seal(&mut cost);
                    let _ = self.smmu.poll(&mut open, &mut cost);
                }
            }
        }
        panic!("there is never room for {flush:?}");
    }

    fn finish(&self, mut fence: Fence) -> Result<(), SecondaryError> {
        for _ in 0..10_000 {
            if let Poll::Ready(result) = self.smmu.poll(&mut fence, &mut Cost::default()) {
                return result;
            }
        }
        panic!("{fence:?} is never reached");
    }

    /// A whole shootdown; the oracle excuses nothing in it any more.
    fn flush(&self, process: &Process, first: u64, count: u64, leaf: bool) {
        let start = VirtAddr::new(process.page(first));
        let range = PageRange::from_len(start, count << 12, PageSize::KIB_4).unwrap();
        let mut flush = Flush::pages(range);
        if leaf {
            flush = flush.leaf_only().leaf_size(PageSize::KIB_4);
        }
        let fence = self.start(process.key, flush);
        assert_eq!(self.finish(fence), Ok(()));
        self.returned(process, first, count);
    }

    fn returned(&self, process: &Process, first: u64, count: u64) {
        let end = process.page(first + count) - 1;
        self.model
            .returned(process.tables.root(), process.page(first), end);
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.model.violations(), []);
    }
}

/// Kind, late, and many seeds.
fn tempers() -> impl Iterator<Item = Temper> {
    [Temper::Kind, Temper::Late]
        .into_iter()
        .chain((1..30).map(Temper::Seeded))
}

#[test]
fn promise_09_an_upgrade_reaches_device_and_device_tlb() {
    for temper in tempers() {
        for ats in [false, true] {
            let rig = Rig::usual(temper);
            let process = rig.process(1, ats, 1);
            let page = process.page(0);
            process.device.read(page).unwrap();
            process.tables.protect(0, page, Rights::ReadWrite);
            rig.flush(&process, 0, 1, true);
            assert_eq!(
                process.device.write(page, 7),
                Ok(()),
                "{temper:?} ATS {ats}"
            );
            rig.assert_clean();
        }
    }
}

/// The control: without the notice the device goes on faulting.
#[test]
fn an_upgrade_without_the_notice_is_never_seen() {
    for ats in [false, true] {
        let rig = Rig::usual(Temper::Late);
        let process = rig.process(1, ats, 1);
        process.device.read(process.page(0)).unwrap();
        process
            .tables
            .protect(0, process.page(0), Rights::ReadWrite);
        rig.publish();
        let write = process.device.write(process.page(0), 7);
        assert_eq!(write, Err(DeviceFault::Permission));
    }
}

#[test]
fn promise_03_a_frame_is_free_once_the_fence_is_reached() {
    for temper in tempers() {
        for (ats, ril, count) in [
            (true, true, 7),
            (true, false, 5),
            (false, true, 33),
            (false, false, 9),
        ] {
            let options = SmmuOptions {
                ril,
                ..SmmuOptions::default()
            };
            let rig = Rig::new(temper, options, Config::new());
            let process = rig.process(1, ats, count + 2);
            for n in 0..count + 2 {
                process.device.read(process.page(n)).unwrap();
            }
            let frames: Vec<_> = (1..=count)
                .map(|n| process.tables.unmap(0, process.page(n)).unwrap())
                .collect();
            rig.flush(&process, 1, count, true);
            for frame in frames {
                rig.model.free(frame);
            }
            for n in 1..=count {
                let read = process.device.read(process.page(n));
                assert!(read.is_err(), "{temper:?}");
            }
            assert!(process.device.read(process.page(0)).is_ok());
            rig.assert_clean();
        }
    }
}

#[test]
fn promise_08_a_freed_table_is_walked_by_nobody() {
    for temper in tempers() {
        let rig = Rig::usual(temper);
        let process = rig.process(1, true, 4);
        process.device.read(process.page(2)).unwrap();
        let table = process.tables.unhang_table(0, process.page(0)).unwrap();
        rig.flush(&process, 0, 4, false);
        // The whole of what the table covered.
        let fence = rig.start(process.key, Flush::all());
        assert_eq!(rig.finish(fence), Ok(()));
        rig.model.returned(process.tables.root(), 0, u64::MAX);
        rig.model.free(table);
        assert!(process.device.read(process.page(2)).is_err());
        rig.assert_clean();
    }
}

#[test]
fn promise_10_released_and_detached_means_silent() {
    for temper in tempers() {
        let rig = Rig::usual(temper);
        let process = rig.process(1, true, 2);
        let other = rig.process(2, true, 2);
        process.device.read(process.page(0)).unwrap();
        other.device.read(other.page(0)).unwrap();
        let mut cost = Cost::ZERO;
        rig.smmu.release(process.key, &mut cost).unwrap();
        let fence = rig.smmu.seal(&mut cost);
        assert_eq!(rig.finish(fence), Ok(()));
        rig.model.returned(process.tables.root(), 0, u64::MAX);
        let frame = process.tables.unmap(0, process.page(0)).unwrap();
        rig.model.returned(process.tables.root(), 0, u64::MAX);
        rig.model.free(frame);
        assert!(process.device.read(process.page(0)).is_err());
        assert!(process.device.read(process.page(1)).is_err());
        assert!(other.device.read(other.page(0)).is_ok());
        rig.smmu.detach(process.key, &mut patience()).unwrap();
        assert!(process.device.read(process.page(1)).is_err());
        rig.assert_clean();
    }
}

#[test]
fn promise_07_the_next_space_under_the_same_asid_sees_nothing_old() {
    for temper in tempers() {
        let rig = Rig::usual(temper);
        let process = rig.process(1, true, 1);
        let page = process.page(0);
        process.device.read(page).unwrap();
        rig.smmu.detach(process.key, &mut patience()).unwrap();
        rig.model.returned(process.tables.root(), 0, u64::MAX);
        let tables = rig.model.tables();
        let frame = rig.model.allocate(0x1000);
        rig.model.poke(frame, 0x1234);
        tables.map(0, page, Mapping::page(frame, Rights::ReadOnly));
        rig.publish();
        rig.attach(1, &tables).unwrap();
        assert_eq!(process.device.read(page), Ok(0x1234), "{temper:?}");
        rig.assert_clean();
    }
}

#[test]
fn promise_05_a_silent_device_is_named_and_the_others_complete() {
    for temper in tempers() {
        for atc_failures in [1, 2, 3] {
            let options = SmmuOptions {
                atc_failures,
                ..SmmuOptions::default()
            };
            let rig = Rig::new(temper, options, Config::new());
            let processes = [1, 2, 3].map(|sid| rig.process(sid, true, 2));
            for process in &processes {
                process.device.read(process.page(0)).unwrap();
                process
                    .tables
                    .protect(0, process.page(0), Rights::ReadWrite);
            }
            processes[1].device.set_silent(true);
            let page =
                |process: &Process| Flush::page(VirtAddr::new(process.page(0)), PageSize::KIB_4);
            let fences = processes
                .each_ref()
                .map(|process| rig.start(process.key, page(process)));
            for n in [2, 0] {
                assert_eq!(rig.finish(fences[n]), Ok(()), "{temper:?}");
                rig.returned(&processes[n], 0, 1);
                assert_eq!(processes[n].device.write(processes[n].page(0), 1), Ok(()));
            }
            let timeout = Err(SecondaryError::DeviceTimeout { device: 2 });
            assert_eq!(rig.finish(fences[1]), timeout, "{temper:?}");
            // Cut off: what it does not hold itself it does not get.
            assert!(processes[1].device.read(processes[1].page(1)).is_err());
            // The ring goes on.
            rig.flush(&processes[0], 0, 2, false);
            rig.assert_clean();
        }
    }
}

#[test]
fn promise_05_an_aborted_fetch_loses_nothing() {
    for temper in tempers() {
        let rig = Rig::usual(temper);
        let process = rig.process(1, true, 1);
        process.device.read(process.page(0)).unwrap();
        process
            .tables
            .protect(0, process.page(0), Rights::ReadWrite);
        rig.port.abort_next_fetch();
        rig.flush(&process, 0, 1, true);
        assert_eq!(process.device.write(process.page(0), 1), Ok(()));
        rig.assert_clean();
    }
}

#[test]
fn promise_12_frozen_and_failed() {
    let rig = Rig::usual(Temper::Late);
    let process = rig.process(1, true, 1);
    rig.port.freeze(true);
    let mut fence = rig.start(process.key, Flush::all());
    for _ in 0..100 {
        let poll = rig.smmu.poll(&mut fence, &mut Cost::default());
        assert_eq!(poll, Poll::Pending);
    }
    let mut few = 0..20;
    let detach = rig.smmu.detach(process.key, &mut || few.next().is_some());
    assert_eq!(detach, Err(AttachError::Timeout(Some(process.key))));
    rig.port.freeze(false);
    assert_eq!(rig.finish(fence), Ok(()));
    let fence = rig.start(process.key, Flush::all());
    rig.port.fail();
    assert_eq!(rig.finish(fence), Err(SecondaryError::Failed));
}

/// A run of random changes to three processes, several fences open at a time, in every way of completing.
fn churn(temper: Temper, seed: u64, options: SmmuOptions, config: Config) {
    let rig = Rig::new(temper, options, config);
    let processes = [(1, true), (2, false), (3, true)].map(|(sid, ats)| rig.process(sid, ats, 8));
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..60 {
        let mut open = Vec::new();
        for _ in 0..=draw(3) {
            let process = &processes[draw(3) as usize];
            let n = draw(8);
            let page = process.page(n);
            let _ = process.device.read(page);
            let old = process.tables.unmap(0, page);
            if draw(2) == 0 || old.is_none() {
                let frame = rig.model.allocate(0x1000);
                let fresh = Mapping::page(frame, Rights::ReadWrite);
                // Break before make: the old one is gone everywhere before the new one is there.
                rig.flush(process, n, 1, true);
                process.tables.map(0, page, fresh);
                rig.publish();
            }
            let flush = Flush::page(VirtAddr::new(page), PageSize::KIB_4);
            open.push((process, n, old, rig.start(process.key, flush)));
        }
        for (process, n, old, fence) in open {
            assert_eq!(rig.finish(fence), Ok(()), "{temper:?} {seed}");
            rig.returned(process, n, 1);
            if let Some(old) = old {
                rig.model.free(old);
            }
            let _ = process.device.read(process.page(n));
        }
        rig.assert_clean();
    }
}

#[test]
fn promise_03_nothing_stale_is_used_or_held_under_churn() {
    let completion = |completion| Config {
        completion,
        ..Config::new()
    };
    let el2 = Config {
        regime: Regime::El2Host,
        ..Config::new()
    };
    let repeat = Config {
        repeat_invalidations: true,
        ..Config::new()
    };
    let plain = SmmuOptions::default();
    let hyp = SmmuOptions { hyp: true, ..plain };
    let old = SmmuOptions {
        ril: false,
        asid16: false,
        ..plain
    };
    let cases = [
        (plain, completion(Completion::Poll)),
        (plain, completion(Completion::Sev)),
        (plain, completion(Completion::Msi)),
        (plain, repeat),
        (hyp, el2),
        (old, Config::new()),
    ];
    for (options, config) in cases {
        churn(Temper::Late, 1, options, config);
        for seed in 1..8 {
            churn(Temper::Seeded(seed), seed, options, config);
        }
    }
}
