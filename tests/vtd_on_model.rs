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
            pasids: Some(self.model.share(pasid_table_bytes(8) as u64, 0x1000)),
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
        let mut patience = patience();
        while self.queue(process.key, flush) == Err(Full) {
            assert!(patience(), "never any room");
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

#[test]
fn promise_09_a_device_writes_what_was_made_writable() {
    for (name, options, config) in units() {
        for device in [DeviceOptions::default(), ats()] {
            let rig = Rig::new(Temper::Late, options, config);
            let process = rig.process(0x0208, Some(3), device);
            process.tables.protect(0, process.page(1), Rights::ReadOnly);
            rig.flush(&process, 1, 1).expect(name);
            process.device.read(process.page(1)).expect(name);
            assert!(process.device.write(process.page(1), 7).is_err());
            process
                .tables
                .protect(0, process.page(1), Rights::ReadWrite);
            rig.flush(&process, 1, 1).expect(name);
            process.device.write(process.page(1), 7).expect(name);
            rig.assert_clean();
        }
    }
}

/// More submissions than the ring has entries, of one to four pages.
#[test]
fn promise_05_the_ring_wraps_and_loses_nothing() {
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let process = rig.process(0x0208, Some(3), ats());
    for round in 0..400 {
        let n = round % 4;
        process.device.read(process.page(n)).unwrap();
        let frame = process.tables.unmap(0, process.page(n)).unwrap();
        rig.flush(&process, n, 1).unwrap();
        assert!(process.device.read(process.page(n)).is_err());
        let mapping = Mapping::page(frame, Rights::ReadWrite);
        process.tables.map(0, process.page(n), mapping);
        rig.barriers.publish();
    }
    rig.assert_clean();
}

#[test]
fn promise_10_a_released_space_is_walked_no_more() {
    for (name, options, config) in units() {
        let rig = Rig::new(Temper::Late, options, config);
        let released = rig.process(0x0208, Some(3), ats());
        let other = rig.process(0x0210, Some(4), ats());
        for process in [&released, &other] {
            process.device.read(process.page(0)).expect(name);
        }
        for _ in 0..2 {
            rig.vtd
                .release(released.key, &mut Cost::default())
                .expect(name);
            let fence = rig.vtd.seal(&mut Cost::default());
            rig.finish(fence).expect(name);
        }
        assert!(released.device.read(released.page(0)).is_err(), "{name}");
        assert!(released.device.read(released.page(1)).is_err(), "{name}");
        other.device.read(other.page(0)).expect(name);
        rig.vtd.detach(released.key, &mut patience()).expect(name);
        assert_eq!(rig.vtd.detach(released.key, &mut patience()), Ok(()));
        rig.assert_clean();
    }
}

/// The next owner of a PASID sees nothing of the last one's.
#[test]
fn promise_07_a_pasid_is_clean_when_it_is_given_again() {
    for (name, options, config) in units() {
        for pasid in [None, Some(3)] {
            let rig = Rig::new(Temper::Late, options, config);
            let first = rig.process(0x0208, pasid, ats());
            first.device.read(first.page(0)).expect(name);
            rig.vtd.detach(first.key, &mut patience()).expect(name);
            assert!(first.device.read(first.page(0)).is_err(), "{name}");
            let tables = rig.model.x86_tables();
            let frame = rig.model.allocate(0x1000);
            tables.map(0, BASE, Mapping::page(frame, Rights::ReadWrite));
            rig.barriers.publish();
            rig.attach(0x0208, pasid, tables.root()).expect(name);
            first.device.write(BASE, 42).expect(name);
            assert!(first.device.read(first.page(1)).is_err(), "{name}");
            rig.assert_clean();
        }
    }
}

#[test]
fn a_pasid_names_one_space_and_the_others_have_domains_of_their_own() {
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let first = rig.process(0x0208, None, ats());
    let second = rig.process(0x0210, None, ats());
    let third = rig.process(0x0218, Some(3), ats());
    let taken = rig.attach(0x0210, Some(3), third.tables.root());
    assert_eq!(taken, Err(AttachError::InUse));
    for process in [&first, &second, &third] {
        let value = process.tables.root();
        process.device.write(process.page(0), value).unwrap();
    }
    for process in [&first, &second, &third] {
        let read = process.device.read(process.page(0));
        assert_eq!(read, Ok(process.tables.root()));
    }
    rig.assert_clean();
}

/// The device that does not answer is named, to its own flush alone; it reaches memory no more, and everybody else goes on.
#[test]
fn promise_05_a_dead_device_is_named_and_nobody_else_is() {
    for (name, options, config) in units() {
        for temper in TEMPERS {
            let rig = Rig::new(temper, options, config);
            let dying = rig.process(0x0208, Some(3), ats());
            let living = rig.process(0x0210, Some(4), ats());
            for process in [&dying, &living] {
                process.device.read(process.page(0)).expect(name);
                process.tables.unmap(0, process.page(0));
            }
            dying.device.set_silent(true);
            let mut fences = [dying.key, living.key].map(|key| {
                let flush = Flush::all();
                rig.queue(key, flush).expect(name);
                rig.vtd.seal(&mut Cost::default())
            });
            // The later fence first: its own device is well, but its wait was aborted with the other.
            assert_eq!(rig.finish(fences[1]), Ok(()), "{name}");
            let expected = Err(SecondaryError::DeviceTimeout { device: 0x0208 });
            assert_eq!(rig.finish(fences[0]), expected, "{name}");
            assert!(living.device.read(living.page(0)).is_err(), "{name}");
            assert!(dying.device.read(dying.page(0)).is_err(), "{name}");
            assert!(dying.device.read(dying.page(1)).is_err(), "{name}: cut off");
            // Life goes on, and the dead device is told nothing any more.
            living.device.read(living.page(1)).expect(name);
            living.tables.unmap(0, living.page(1));
            assert_eq!(rig.flush(&living, 1, 1), Ok(()), "{name}");
            assert_eq!(rig.flush(&dying, 1, 1), Ok(()), "{name}");
            let again = rig.attach(0x0208, Some(5), dying.tables.root());
            assert_eq!(again, Err(AttachError::Quarantined));
            rig.vtd.detach(dying.key, &mut patience()).expect(name);
            // Nobody waits for a device that is detached.
            assert_eq!(
                rig.vtd.poll(&mut fences[0], &mut Cost::default()),
                Poll::Ready(Ok(()))
            );
            rig.assert_clean();
        }
    }
}

/// Whichever descriptor is refused, whosever it is, both flushes are done when their fences say so.
#[test]
fn promise_05_a_refused_descriptor_is_made_good() {
    for (name, options, config) in units() {
        for spoilt in 0..4 {
            for fetch in [false, true] {
                let rig = Rig::new(Temper::Late, options, config);
                let mine = rig.process(0x0208, Some(3), ats());
                let theirs = rig.process(0x0210, Some(4), ats());
                for process in [&mine, &theirs] {
                    process.device.read(process.page(0)).expect(name);
                    process.tables.unmap(0, process.page(0));
                }
                let before = rig.model.take_counts().commands;
                rig.queue(theirs.key, Flush::all()).expect(name);
                rig.queue(mine.key, Flush::all()).expect(name);
                let fence = rig.vtd.seal(&mut Cost::default());
                let mut polled = fence;
                let mut cost = Cost::default();
                let mut refused = false;
                for _ in 0..100_000 {
                    if !refused && rig.model.take_counts().commands + before >= spoilt {
                        refused = true;
                        if fetch {
                            rig.port.abort_next_fetch();
                        } else {
                            rig.port.refuse_next();
                        }
                    }
                    if let Poll::Ready(result) = rig.vtd.poll(&mut polled, &mut cost) {
                        assert_eq!(result, Ok(()), "{name}");
                        break;
                    }
                }
                assert!(mine.device.read(mine.page(0)).is_err(), "{name}: {spoilt}");
                assert!(
                    theirs.device.read(theirs.page(0)).is_err(),
                    "{name}: {spoilt}"
                );
                rig.assert_clean();
            }
        }
    }
}

#[test]
fn a_completion_that_nobody_waits_for_is_acknowledged() {
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let process = rig.process(0x0208, Some(3), ats());
    rig.port.raise_completion_error(0x0210);
    assert!(rig.vtd.on_fault_event().is_empty());
    assert_eq!(rig.flush(&process, 0, 1), Ok(()));
}

#[test]
fn promise_08_freed_kernel_tables_are_forgotten_everywhere() {
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let processes = [
        rig.process(0x0208, None, ats()),
        rig.process(0x0210, Some(4), ats()),
        rig.process(0x0218, Some(5), DeviceOptions::default()),
    ];
    for process in &processes {
        process.device.read(process.page(0)).unwrap();
    }
    assert!(rig.port.held() > 0);
    let mut cost = Cost::default();
    rig.vtd
        .queue(&Invalidation::KernelTables, &mut cost)
        .unwrap();
    let fence = rig.vtd.seal(&mut cost);
    assert_eq!((cost.commands, cost.syncs, cost.doorbells), (3, 1, 1));
    for process in &processes {
        process.tables.unmap(0, process.page(0));
    }
    rig.barriers.publish();
    rig.finish(fence).unwrap();
    for process in &processes {
        assert!(process.device.read(process.page(0)).is_err());
    }
}

/// A quirk: such a device heeds the second of two equal invalidations alone.
#[test]
fn a_device_that_needs_repetition_gets_it() {
    let device = DeviceOptions {
        needs_repeat: true,
        ..ats()
    };
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let process = rig.process(0x0208, Some(3), device);
    process.device.read(process.page(0)).unwrap();
    process.tables.unmap(0, process.page(0));
    assert_eq!(rig.flush(&process, 0, 1), Ok(()));
    assert!(process.device.read(process.page(0)).is_err());
    rig.assert_clean();
}

#[test]
fn a_device_leaves_and_comes_back() {
    for (name, options, config) in units() {
        let rig = Rig::new(Temper::Late, options, config);
        let process = rig.process(0x0208, Some(3), ats());
        process.device.read(process.page(0)).expect(name);
        let busy = rig.vtd.remove_device(SourceId(0x0208), &mut patience());
        assert_eq!(busy.err(), Some(AttachError::InUse));
        rig.vtd.detach(process.key, &mut patience()).expect(name);
        rig.vtd
            .remove_device(SourceId(0x0208), &mut patience())
            .expect(name);
        assert!(process.device.read(process.page(0)).is_err(), "{name}");
        let again = rig.process(0x0208, Some(3), ats());
        again.device.read(again.page(0)).expect(name);
        rig.vtd.detach(again.key, &mut patience()).expect(name);
        rig.vtd.disable(&mut patience()).expect(name);
        rig.vtd.init(&mut patience()).expect(name);
        let key = rig.attach(0x0208, Some(3), again.tables.root());
        key.expect(name);
        again.device.read(again.page(0)).expect(name);
        rig.assert_clean();
    }
}

/// Nothing passes for complete while the unit stands still, and the queue that is full says so without losing what it holds.
#[test]
fn promise_04_a_unit_that_stands_still_completes_nothing() {
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let process = rig.process(0x0208, Some(3), ats());
    rig.port.freeze(true);
    let mut fences = Vec::new();
    while rig.queue(process.key, Flush::all()).is_ok() {
        fences.push(rig.vtd.seal(&mut Cost::default()));
        assert!(fences.len() <= 128, "more than the ring holds");
    }
    assert!(fences.len() > 30, "{} seals filled the ring", fences.len());
    for fence in &mut fences {
        for _ in 0..20 {
            let poll = rig.vtd.poll(fence, &mut Cost::default());
            assert_eq!(poll, Poll::Pending);
        }
    }
    rig.port.freeze(false);
    for fence in fences {
        assert_eq!(rig.finish(fence), Ok(()));
    }
    assert_eq!(rig.flush(&process, 0, 1), Ok(()));
}

/// Many CPUs submit at once, with a device that dies under them.
#[test]
fn promise_06_a_dying_device_stops_nobody() {
    let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
    let processes: Vec<_> = (0..3u16)
        .map(|n| rig.process(0x0208 + 8 * n, Some(3 + u32::from(n)), ats()))
        .collect();
    std::thread::scope(|scope| {
        for (n, process) in processes.iter().enumerate() {
            let rig = &rig;
            scope.spawn(move || {
                for round in 0..100 {
                    if n == 1 && round == 50 {
                        process.device.set_silent(true);
                    }
                    let page = round % 4;
                    let _ = process.device.read(process.page(page));
                    match rig.flush(process, page, 1) {
                        Ok(()) => {}
                        Err(error) => {
                            assert_eq!(n, 1, "{error}");
                            assert_eq!(error, SecondaryError::DeviceTimeout { device: 0x0210 });
                        }
                    }
                }
            });
        }
    });
    rig.assert_clean();
}

/// The control: without the notice the device goes on reading, and the oracle says so once somebody relies on it.
#[test]
fn an_unmap_without_the_notice_is_never_seen() {
    for options in [DeviceOptions::default(), ats()] {
        let rig = Rig::new(Temper::Late, VtdOptions::default(), Config::new());
        let process = rig.process(0x0208, Some(3), options);
        let page = process.page(0);
        process.device.read(page).unwrap();
        let frame = process.tables.unmap(0, page).unwrap();
        rig.barriers.publish();
        assert!(process.device.read(page).is_ok());
        rig.assert_clean();
        rig.model
            .returned(process.tables.root(), page, page | 0xfff);
        rig.model.free(frame);
        assert!(process.device.read(page).is_ok());
        assert_ne!(rig.model.violations(), []);
    }
}

/// The control: a unit that does not order device TLBs after its own needs the fence between them.
#[test]
fn an_unordered_unit_without_the_fence_leaves_a_stale_device() {
    let (_, options, _) = units().remove(1);
    assert!(!options.orders_device_tlbs);
    let rig = Rig::new(Temper::Late, options, Config::new());
    let process = rig.process(0x0208, Some(3), ats());
    process.device.read(process.page(0)).unwrap();
    process.tables.unmap(0, process.page(0));
    rig.flush(&process, 0, 1).unwrap();
    assert!(process.device.read(process.page(0)).is_ok());
    assert_ne!(rig.model.violations(), []);
}

#[test]
fn promise_08_a_freed_table_is_walked_by_nobody() {
    for (name, options, config) in units() {
        for device in [DeviceOptions::default(), ats()] {
            let rig = Rig::new(Temper::Late, options, config);
            let process = rig.process(0x0208, Some(3), device);
            process.device.read(process.page(2)).expect(name);
            let table = process.tables.unhang_table(0, process.page(0)).unwrap();
            rig.queue(process.key, Flush::all()).expect(name);
            let fence = rig.vtd.seal(&mut Cost::default());
            assert_eq!(rig.finish(fence), Ok(()), "{name}");
            rig.model.returned(process.tables.root(), 0, u64::MAX);
            rig.model.free(table);
            for n in 0..4 {
                assert!(process.device.read(process.page(n)).is_err(), "{name}");
            }
            rig.assert_clean();
        }
    }
}

/// Random changes to three processes, several fences open at a time, and now and then a descriptor that is refused.
fn churn(temper: Temper, seed: u64, options: VtdOptions, config: Config) {
    let rig = Rig::new(temper, options, config);
    let processes = [(3, ats()), (4, DeviceOptions::default()), (5, ats())]
        .map(|(pasid, device)| rig.process(0x0200 + 8 * pasid as u16, Some(pasid), device));
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..40 {
        let mut open = Vec::new();
        for _ in 0..=draw(3) {
            let process = &processes[draw(3) as usize];
            let n = draw(4);
            let page = process.page(n);
            // One change of a page at a time: the first fence says nothing about a second one.
            let root = process.tables.root();
            let same = |(other, at, ..): &(&Process, u64, _, _)| {
                (other.tables.root(), *at) == (root, page)
            };
            if open.iter().any(same) {
                continue;
            }
            let _ = process.device.read(page);
            let old = process.tables.unmap(0, page);
            if old.is_none() {
                let frame = rig.model.allocate(0x1000);
                // Break before make: the old one is gone everywhere before the new one is there.
                rig.flush(process, n, 1).unwrap();
                let fresh = Mapping::page(frame, Rights::ReadWrite);
                process.tables.map(0, page, fresh);
                rig.barriers.publish();
            }
            if draw(8) == 0 {
                rig.port.refuse_next();
            }
            let flush = Flush::page(VirtAddr::new(page), PageSize::KIB_4);
            while rig.queue(process.key, flush) == Err(Full) {
                let mut full = rig.vtd.seal(&mut Cost::default());
                let _ = rig.vtd.poll(&mut full, &mut Cost::default());
            }
            open.push((process, page, old, rig.vtd.seal(&mut Cost::default())));
        }
        for (process, page, old, fence) in open {
            assert_eq!(rig.finish(fence), Ok(()), "{temper:?} {seed}");
            rig.model
                .returned(process.tables.root(), page, page | 0xfff);
            if let Some(old) = old {
                rig.model.free(old);
            }
            let _ = process.device.read(page);
        }
        rig.assert_clean();
    }
}

#[test]
fn promise_03_nothing_stale_is_used_or_held_under_churn() {
    for (_, options, config) in units() {
        churn(Temper::Late, 1, options, config);
        for seed in 1..8 {
            churn(Temper::Seeded(seed), seed, options, config);
        }
    }
}

/// A device dies at a random moment, whatever the unit has fetched by then.
#[test]
fn promise_05_a_device_that_dies_at_any_moment_is_named_alone() {
    for seed in 1..40 {
        let rig = Rig::new(Temper::Seeded(seed), VtdOptions::default(), Config::new());
        let [dying, living] =
            [(0x0208, 3), (0x0210, 4)].map(|(sid, pasid)| rig.process(sid, Some(pasid), ats()));
        for process in [&dying, &living] {
            process.device.read(process.page(0)).unwrap();
            process.tables.unmap(0, process.page(0));
        }
        let fences = [dying.key, living.key].map(|key| {
            rig.queue(key, Flush::all()).unwrap();
            rig.vtd.seal(&mut Cost::default())
        });
        for _ in 0..seed % 8 {
            rig.port.step();
        }
        dying.device.set_silent(true);
        assert_eq!(rig.finish(fences[1]), Ok(()), "{seed}");
        let named = Err(SecondaryError::DeviceTimeout { device: 0x0208 });
        let result = rig.finish(fences[0]);
        assert!(result == Ok(()) || result == named, "{seed}: {result:?}");
        for process in [&dying, &living] {
            rig.model.returned(process.tables.root(), 0, u64::MAX);
        }
        assert!(living.device.read(living.page(0)).is_err(), "{seed}");
        assert!(dying.device.read(dying.page(0)).is_err(), "{seed}");
        assert_eq!(result.is_ok(), dying.device.read(dying.page(1)).is_ok());
    }
}
