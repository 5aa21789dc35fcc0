//! A link on the scripted unit.

pub(crate) use crate::atsd::{Around, Atsd, Barriers, Event, Manners};
use crate::regions;
pub(crate) use crate::ring_lock::{Lock, turns};
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::dma::DmaRegion;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::ocxl::{
    AttachError, Config, Context, FunctionId, Link, Mode, Pasid, Pid, Process,
};
use tlb_shootdown::secondary::{AttachKey, Fence, Invalidation, SecondaryError, SecondaryTlb};

/// How many process elements there are.
pub(crate) const PASIDS: u32 = 64;

pub(crate) type TestLink = Link<Atsd, Barriers, Lock, Around, 8, 8>;

pub(crate) struct Bench {
    pub(crate) unit: Atsd,
    pub(crate) link: TestLink,
    pub(crate) lock: Lock,
}

pub(crate) fn region(pasids: u32) -> DmaRegion {
    regions::region(pasids as usize * 128, 0x1000)
}

pub(crate) fn context(pasid: u32) -> Context {
    Context {
        pasid: Pasid::new(pasid).unwrap(),
        function: FunctionId(0x0008),
        thread: 0,
        amr: 0,
    }
}

pub(crate) fn process(pid: u32) -> Process {
    Process {
        pid: Pid::new(pid).unwrap(),
        lpid: 0,
        wide: true,
        tag_checks: false,
    }
}

impl Bench {
    fn build(config: Config, snooping: bool, watch_lock: bool) -> Self {
        let (unit, lock) = (Atsd::new(), Lock::default());
        let spa = region(PASIDS);
        unit.inner().spa = spa.phys().raw();
        let around = Around {
            unit: unit.clone(),
            lock: watch_lock.then(|| lock.clone()),
        };
        let mode = match snooping {
            true => Mode::Snooping,
            false => Mode::Atsd(unit.clone()),
        };
        let barriers = Barriers(unit.clone());
        let link = Link::new(mode, barriers, lock.clone(), spa, around, config).unwrap();
        Self { unit, link, lock }
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::build(config, false, true)
    }

    /// ATSD, on POWER10.
    pub(crate) fn usual() -> Self {
        Self::with(Config::power10())
    }

    pub(crate) fn snooping(config: Config) -> Self {
        Self::build(config, true, true)
    }

    /// For several threads.
    pub(crate) fn shared() -> Self {
        Self::build(Config::power10(), false, false)
    }

    pub(crate) fn reserve(&self, pid: u32, pasids: &[u32]) -> Result<AttachKey, AttachError> {
        let contexts: Vec<_> = pasids.iter().map(|pasid| context(*pasid)).collect();
        self.link.reserve(&contexts, &process(pid))
    }

    pub(crate) fn attach(&self, pid: u32, pasids: &[u32]) -> AttachKey {
        let key = self.reserve(pid, pasids).unwrap();
        self.link.install(key).unwrap();
        key
    }

    pub(crate) fn detach(&self, key: AttachKey) -> Result<(), AttachError> {
        self.link.detach(key, &mut turns(&self.lock, 20))
    }

    pub(crate) fn queue(&self, key: AttachKey, flush: Flush) -> Cost {
        let mut cost = Cost::ZERO;
        let invalidation = Invalidation::Space { key, flush };
        self.link.queue(&invalidation, &mut cost).unwrap();
        cost
    }

    /// Queues and seals one invalidation.
    pub(crate) fn start(&self, key: AttachKey, flush: Flush) -> (Fence, Cost) {
        let mut cost = self.queue(key, flush);
        (self.link.seal(&mut cost), cost)
    }

    pub(crate) fn poll(&self, fence: Fence) -> Poll<Result<(), SecondaryError>> {
        self.link.poll(&mut { fence }, &mut Cost::default())
    }

    /// Polls until the fence says something.
    #[track_caller]
    pub(crate) fn finish(&self, fence: Fence, cost: &mut Cost) -> Result<(), SecondaryError> {
        for _ in 0..1000 {
            if let Poll::Ready(result) = self.link.poll(&mut { fence }, cost) {
                return result;
            }
        }
        panic!("{fence:?} is still pending");
    }

    /// One whole invalidation: what was launched for it, and what it cost.
    #[track_caller]
    pub(crate) fn flush(&self, key: AttachKey, flush: Flush) -> (Vec<Event>, Cost) {
        self.unit.take_log();
        let (fence, mut cost) = self.start(key, flush);
        assert_eq!(self.finish(fence, &mut cost), Ok(()));
        self.unit.assert_rules_kept();
        (self.unit.take_log(), cost)
    }
}

/// So many leaf entries of 4 KiB.
pub(crate) fn leaves(start: u64, count: u64) -> Flush {
    let bytes = count << 12;
    let range = PageRange::from_len(VirtAddr::new(start), bytes, PageSize::KIB_4).unwrap();
    Flush::pages(range).leaf_only().leaf_size(PageSize::KIB_4)
}

/// Everything of PID 0x42.
pub(crate) const WHOLE: Event = Event::Launch(None, 0xc00c_0000_8440_0000);

/// A leaf of 4 KiB of PID 0x42.
pub(crate) const fn page(address: u64) -> Event {
    Event::Launch(Some(address), 0xc004_0000_8400_0000)
}
