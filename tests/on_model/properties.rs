//! Random kernels on random machines: whatever they do, in whatever order, nothing stale is used or held once a flush has
//! returned, no frame is used by a former owner, and what the library says it cost is what the machine counted.

use crate::faulty::Defect;
use crate::iommu::Iommu;
use crate::rig::{Parts, Process, Rig, Sink};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::batch::{AddError, Gather, Reclaim};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::Completion;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::CpuFeatures;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions};

/// Pages of each process: two tables of level 3, the second half of them in the second.
const PAGES: u64 = 16;
const BASE: u64 = 0x4000_0000;
const SPACES: usize = 2;
const CPUS: usize = 3;
const STREAM: u32 = 3;
/// Of a batch: fewer than there may be changes, so that those of one space are merged upward, and batches fill up.
const PLACES: usize = 6;

/// What the kernel does next. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    Switch {
        cpu: usize,
        space: usize,
    },
    Map {
        space: usize,
        page: u64,
        writable: bool,
    },
    Unmap {
        space: usize,
        page: u64,
    },
    Protect {
        space: usize,
        page: u64,
        writable: bool,
    },
    UnmapTable {
        space: usize,
        half: u64,
    },
    Flush {
        space: usize,
        how: How,
    },
    /// What is pending in both spaces is flushed in one batch.
    Reclaim {
        how: How,
    },
    /// Pages are unmapped into a gather.
    Gather {
        space: usize,
        pages: [u64; 5],
    },
    Touch {
        space: usize,
    },
    CpuRead {
        cpu: usize,
        page: u64,
    },
    CpuWrite {
        cpu: usize,
        page: u64,
    },
    DeviceRead {
        space: usize,
        page: u64,
    },
    DeviceWrite {
        space: usize,
        page: u64,
    },
}

/// How pending changes are flushed.
#[derive(Clone, Copy, Debug)]
enum How {
    /// One flush of the smallest range, with every promise that holds.
    Tight,
    /// The same without promises.
    Loose,
    /// Everything.
    Space,
    /// Page by page.
    Each,
}

fn op() -> impl Strategy<Value = Op> {
    let (space, page, cpu) = (0..SPACES, 0..PAGES, 0..CPUS);
    let how = prop_oneof![
        4 => Just(How::Tight),
        2 => Just(How::Loose),
        1 => Just(How::Space),
        2 => Just(How::Each),
    ];
    prop_oneof![
        2 => (cpu.clone(), space.clone()).prop_map(|(cpu, space)| Op::Switch { cpu, space }),
        4 => (space.clone(), page.clone(), any::<bool>())
            .prop_map(|(space, page, writable)| Op::Map { space, page, writable }),
        3 => (space.clone(), page.clone()).prop_map(|(space, page)| Op::Unmap { space, page }),
        3 => (space.clone(), page.clone(), any::<bool>())
            .prop_map(|(space, page, writable)| Op::Protect { space, page, writable }),
        1 => (space.clone(), 0..2_u64).prop_map(|(space, half)| Op::UnmapTable { space, half }),
        3 => space.clone().prop_map(|space| Op::Touch { space }),
        4 => (space.clone(), how.clone()).prop_map(|(space, how)| Op::Flush { space, how }),
        2 => how.prop_map(|how| Op::Reclaim { how }),
        2 => (space.clone(), prop::array::uniform5(page.clone()))
            .prop_map(|(space, pages)| Op::Gather { space, pages }),
        5 => (cpu.clone(), page.clone()).prop_map(|(cpu, page)| Op::CpuRead { cpu, page }),
        5 => (cpu, page.clone()).prop_map(|(cpu, page)| Op::CpuWrite { cpu, page }),
        5 => (space.clone(), page.clone())
            .prop_map(|(space, page)| Op::DeviceRead { space, page }),
        5 => (space, page).prop_map(|(space, page)| Op::DeviceWrite { space, page }),
    ]
}

/// The machine that a run is on.
#[derive(Clone, Copy, Debug)]
struct Setting {
    parts: Parts,
    smmu: SmmuOptions,
    device: DeviceOptions,
    completion: Completion,
    repairs: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    let temper = prop_oneof![
        6 => any::<u64>().prop_map(Temper::Seeded),
        1 => Just(Temper::Late),
    ];
    let flags = any::<[bool; 8]>();
    (temper, flags).prop_map(
        |(temper, [range, ttl, repeat_tlbi, ril, msi, ats, kpti, repairs])| {
            let features = CpuFeatures {
                range,
                ttl,
                repeat_tlbi,
            };
            Setting {
                parts: Parts {
                    cpus: CPUS,
                    features,
                    kpti,
                    ..Parts::new(temper)
                },
                smmu: SmmuOptions {
                    ril,
                    ..SmmuOptions::default()
                },
                device: DeviceOptions {
                    ats,
                    ..DeviceOptions::default()
                },
                completion: if msi {
                    Completion::Msi
                } else {
                    Completion::Poll
                },
                repairs,
            }
        },
    )
}

/// A page as the kernel has it in its books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    frame: u64,
    writable: bool,
}

/// A process with what its kernel knows of it.
struct Run {
    process: Process,
    device: DevicePort,
    pages: BTreeMap<u64, Page>,
    /// Changed and not flushed; what may be freed after the flush.
    changed: BTreeSet<u64>,
    upgraded: BTreeSet<u64>,
    frames: Vec<u64>,
    tables: Vec<u64>,
}

impl Run {
    fn take_items(&mut self) -> Vec<Item> {
        let size = PageSize::KIB_4;
        let frames = self.frames.drain(..).map(PhysAddr::new);
        let frames = frames.map(|base| Item::Frame { base, size });
        let tables = self.tables.drain(..).map(PhysAddr::new);
        frames
            .chain(tables.map(|base| Item::Table { base }))
            .collect()
    }
}

struct Kernel {
    rig: Rig,
    runs: Vec<Run>,
    running: [Option<usize>; CPUS],
    repairs: bool,
    sink: Sink,
    stamp: u64,
}

fn address(page: u64) -> u64 {
    BASE + ((page / 8) << 21) + page % 8 * 0x1000
}

fn rights(writable: bool) -> Rights {
    if writable {
        Rights::ReadWrite
    } else {
        Rights::ReadOnly
    }
}

impl Kernel {
    fn new(setting: Setting) -> Self {
        let rig = Rig::new(setting.parts);
        rig.platform.set_repairs_spurious_faults(setting.repairs);
        let iommu = Iommu::new(&rig, setting.smmu, setting.completion);
        let device = iommu.add_device(STREAM, setting.device);
        let runs = (1..=SPACES as u32).map(|substream| {
            let process = rig.process();
            iommu.attach(&rig, &process, STREAM, Some(substream));
            Run {
                process,
                device: device.substream(substream),
                pages: BTreeMap::new(),
                changed: BTreeSet::new(),
                upgraded: BTreeSet::new(),
                frames: Vec::new(),
                tables: Vec::new(),
            }
        });
        Self {
            runs: runs.collect(),
            running: [None; CPUS],
            repairs: setting.repairs,
            sink: rig.sink(),
            stamp: 0,
            rig,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Switch { cpu, space } => {
                self.rig.switch(cpu, &self.runs[space].process);
                self.running[cpu] = Some(space);
            }
            Op::Map {
                space,
                page,
                writable,
            } => self.map(space, page, writable),
            Op::Unmap { space, page } => self.unmap(space, page),
            Op::Protect {
                space,
                page,
                writable,
            } => self.protect(space, page, writable),
            Op::UnmapTable { space, half } => self.unmap_table(space, half),
            Op::Flush { space, how } => self.flush(space, how),
            Op::Reclaim { how } => self.reclaim(how),
            Op::Gather { space, pages } => self.gather(space, pages),
            Op::Touch { space } => self.touch(space),
            Op::CpuRead { cpu, page } => self.cpu_access(cpu, page, false),
            Op::CpuWrite { cpu, page } => self.cpu_access(cpu, page, true),
            Op::DeviceRead { space, page } => self.device_access(space, page, false),
            Op::DeviceWrite { space, page } => self.device_access(space, page, true),
        }
        assert_eq!(self.rig.model.violations(), []);
    }

    /// Break before make: a page that is mapped, or whose unmapping is not flushed, is unmapped and flushed first.
    fn map(&mut self, space: usize, page: u64, writable: bool) {
        self.unmap(space, page);
        if !self.runs[space].changed.is_empty() {
            self.flush(space, How::Tight);
        }
        let frame = self.rig.model.allocate(0x1000);
        let run = &mut self.runs[space];
        let mapping = Mapping::page(frame, rights(writable));
        run.process.tables.map(0, address(page), mapping);
        run.pages.insert(page, Page { frame, writable });
        // From invalid to valid: nothing to flush, only to be made visible.
        self.rig.publish();
        let va = address(page);
        let root = run.process.tables.root();
        self.rig.model.returned(root, va, va | 0xfff);
    }

    fn unmap(&mut self, space: usize, page: u64) {
        let run = &mut self.runs[space];
        if let Some(old) = run.pages.remove(&page) {
            run.process.tables.unmap(0, address(page));
            run.frames.push(old.frame);
            run.upgraded.remove(&page);
            run.changed.insert(page);
        }
    }

    fn protect(&mut self, space: usize, page: u64, writable: bool) {
        let run = &mut self.runs[space];
        let Some(known) = run.pages.get_mut(&page) else {
            return;
        };
        if known.writable == writable {
            return;
        }
        run.process
            .tables
            .protect(0, address(page), rights(writable));
        known.writable = writable;
        // Up and down again within one flush is no upgrade.
        if writable && !run.changed.contains(&page) {
            run.upgraded.insert(page);
        } else {
            run.upgraded.remove(&page);
            run.changed.insert(page);
        }
    }

    /// Unmaps half of the pages together with the table that they are in.
    fn unmap_table(&mut self, space: usize, half: u64) {
        let pages: Vec<u64> = (half * 8..half * 8 + 8).collect();
        if !pages
            .iter()
            .any(|page| self.runs[space].pages.contains_key(page))
        {
            return;
        }
        for &page in &pages {
            self.unmap(space, page);
        }
        let run = &mut self.runs[space];
        let table = run.process.tables.unhang_table(0, address(half * 8));
        run.tables.extend(table);
        run.changed.extend(pages);
    }

    fn flush(&mut self, space: usize, how: How) {
        let (flushes, items) = self.pending(space, how);
        let Some((last, first)) = flushes.split_last() else {
            return;
        };
        for &flush in first {
            self.flush_holding_nothing(space, flush);
        }
        self.flush_and_free(space, *last, &items);
    }

    /// What has to be flushed, and what is free after it. Upgrades are over with on return.
    fn pending(&mut self, space: usize, how: How) -> (Vec<Flush>, Vec<Item>) {
        let run = &mut self.runs[space];
        let upgraded = core::mem::take(&mut run.upgraded);
        let changed = core::mem::take(&mut run.changed);
        let deep = !run.tables.is_empty();
        let items = run.take_items();
        for page in upgraded {
            self.flush_upgrade(space, page);
        }
        let flushes = match how {
            How::Space if !changed.is_empty() => vec![Flush::all()],
            How::Each if !deep => changed.iter().map(|&page| exactly(page)).collect(),
            How::Loose => hull(&changed).map(Flush::pages).into_iter().collect(),
            _ if deep => hull(&changed).map(Flush::pages).into_iter().collect(),
            _ => hull(&changed).map(tight).into_iter().collect::<Vec<_>>(),
        };
        (flushes, items)
    }

    fn reclaim(&mut self, how: How) {
        let pending: Vec<_> = (0..SPACES).map(|space| self.pending(space, how)).collect();
        self.rig.model.take_counts();
        let mut cost = Cost::ZERO;
        let frames = Frames::inline::<256>(&self.sink);
        let mut batch = Reclaim::<_, 1, PLACES, _>::holding(&self.rig.engine, frames);
        for (run, (flushes, items)) in self.runs.iter().zip(&pending) {
            for &flush in flushes {
                if batch.add(&run.process.space, flush) == Err(AddError::Full) {
                    cost += batch.flush().unwrap();
                    batch.add(&run.process.space, flush).unwrap();
                }
            }
            for &item in items {
                batch.held().push(item).unwrap();
            }
        }
        self.fill_up();
        cost += batch.flush().unwrap();
        drop(batch);
        self.compare(&cost);
        for (run, (flushes, _)) in self.runs.iter().zip(&pending) {
            if !flushes.is_empty() {
                let root = run.process.tables.root();
                self.rig.model.returned(root, 0, u64::MAX);
            }
        }
    }

    /// With fewer places than pages, so that it flushes early.
    fn gather(&mut self, space: usize, pages: [u64; 5]) {
        self.flush(space, How::Tight);
        let run = &mut self.runs[space];
        let pages = pages.iter();
        let known: Vec<_> = pages
            .filter_map(|&page| Some((page, run.pages.remove(&page)?.frame)))
            .collect();
        self.rig.model.take_counts();
        let (run, frames) = (&self.runs[space], Frames::inline::<3>(&self.sink));
        let mut gather = Gather::new(&self.rig.engine, &run.process.space, frames).unwrap();
        for &(page, frame) in &known {
            let va = address(page);
            run.process.tables.unmap(0, va);
            let (va, frame) = (VirtAddr::new(va), PhysAddr::new(frame));
            gather.unmap(va, PageSize::KIB_4, Some(frame)).unwrap();
        }
        self.fill_up();
        let cost = gather.finish().unwrap();
        drop(gather);
        self.compare(&cost);
        if !known.is_empty() {
            let root = run.process.tables.root();
            self.rig.model.returned(root, 0, u64::MAX);
        }
    }

    /// CPUs and devices go on using what they have while it is pending.
    fn fill_up(&self) {
        for (space, run) in self.runs.iter().enumerate() {
            for va in (0..PAGES).map(address) {
                let _ = run.device.read(va);
                for cpu in (0..CPUS).filter(|&cpu| self.running[cpu] == Some(space)) {
                    let _ = self.rig.cpu(cpu).read(va);
                }
            }
        }
    }

    fn flush_upgrade(&mut self, space: usize, page: u64) {
        let run = &self.runs[space];
        self.rig.model.take_counts();
        let cost = self
            .rig
            .engine
            .flush_upgrade(&run.process.space, exactly(page));
        self.compare(&cost.unwrap());
        let va = address(page);
        self.rig
            .model
            .returned(run.process.tables.root(), va, va | 0xfff);
    }

    fn flush_holding_nothing(&mut self, space: usize, flush: Flush) {
        self.rig.model.take_counts();
        let space = &self.runs[space].process.space;
        let cost = self.rig.engine.flush(space, flush).unwrap();
        self.compare(&cost);
    }

    /// The last of a round: what the changes took out of use goes with its ticket.
    fn flush_and_free(&mut self, space: usize, flush: Flush, items: &[Item]) {
        let mut frames = Frames::inline::<256>(&self.sink);
        for &item in items {
            frames.push(item).unwrap();
        }
        self.rig.model.take_counts();
        let run = &self.runs[space];
        let ticket = self.rig.engine.start(&run.process.space, flush).unwrap();
        let cost = ticket.holding(frames).wait().unwrap();
        self.compare(&cost);
        self.rig
            .model
            .returned(run.process.tables.root(), 0, u64::MAX);
    }

    /// The library's figures are the machine's.
    fn compare(&self, cost: &Cost) {
        let counts = self.rig.model.take_counts();
        let said = [
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers,
            cost.commands,
            cost.syncs,
            cost.doorbells,
            cost.queue_barriers,
        ];
        let counted = [
            counts.store_barriers,
            counts.tlbis,
            counts.completion_barriers,
            counts.commands,
            counts.syncs,
            counts.doorbells,
            counts.queue_barriers,
        ];
        assert_eq!(said, counted);
    }

    /// Everybody who can reads everything, so that there is something to be stale.
    fn touch(&mut self, space: usize) {
        let pages: Vec<u64> = self.runs[space].pages.keys().copied().collect();
        for page in pages {
            self.device_access(space, page, false);
            for cpu in 0..CPUS {
                if self.running[cpu] == Some(space) {
                    self.cpu_access(cpu, page, false);
                }
            }
        }
    }

    /// An access must go as the table says, wherever no change is pending.
    fn cpu_access(&mut self, cpu: usize, page: u64, write: bool) {
        let Some(space) = self.running[cpu] else {
            return;
        };
        self.stamp += 1;
        let port = self.rig.cpu(cpu);
        let va = address(page);
        let attempt = |stamp| {
            if write {
                port.write(va, stamp).is_ok()
            } else {
                port.read(va).is_ok()
            }
        };
        let mut done = attempt(self.stamp);
        if !done && self.repairs && self.allows(space, page, write) {
            self.rig.platform.set_current(cpu);
            let at = VirtAddr::new(va);
            let run = &self.runs[space];
            self.rig
                .engine
                .fix_spurious_fault(&run.process.space, at, PageSize::KIB_4)
                .unwrap();
            self.rig.platform.set_current(0);
            done = attempt(self.stamp);
        }
        self.check(space, page, write, done);
    }

    fn device_access(&mut self, space: usize, page: u64, write: bool) {
        self.stamp += 1;
        let device = &self.runs[space].device;
        let done = if write {
            device.write(address(page), self.stamp).is_ok()
        } else {
            device.read(address(page)).is_ok()
        };
        self.check(space, page, write, done);
    }

    fn allows(&self, space: usize, page: u64, write: bool) -> bool {
        let known = self.runs[space].pages.get(&page);
        known.is_some_and(|known| known.writable || !write)
    }

    fn check(&self, space: usize, page: u64, write: bool, done: bool) {
        let run = &self.runs[space];
        if run.changed.contains(&page) || run.upgraded.contains(&page) {
            return;
        }
        assert_eq!(done, self.allows(space, page, write), "page {page}");
        if let (true, true, Some(known)) = (write, done, run.pages.get(&page)) {
            assert_eq!(self.rig.model.peek(known.frame), self.stamp);
        }
    }
}

fn exactly(page: u64) -> Flush {
    Flush::page(VirtAddr::new(address(page)), PageSize::KIB_4)
}

fn tight(pages: PageRange) -> Flush {
    Flush::pages(pages).leaf_only().leaf_size(PageSize::KIB_4)
}

fn hull(pages: &BTreeSet<u64>) -> Option<PageRange> {
    let (first, last) = (pages.first()?, pages.last()?);
    let last_byte = VirtAddr::new(address(*last) | 0xfff);
    PageRange::inclusive(VirtAddr::new(address(*first)), last_byte, PageSize::KIB_4).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promise_03_nothing_stale_is_used_or_held_after_any_flush(
        setting in setting(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut kernel = Kernel::new(setting);
        for op in &ops {
            kernel.apply(op);
        }
    }
}

/// Whether random kernels notice this defect.
fn is_noticed(defect: Defect) -> bool {
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let inputs = (setting(), prop::collection::vec(op(), 1..80));
    let result = runner.run(&inputs, |(mut setting, ops)| {
        setting.parts.defect = defect;
        let mut kernel = Kernel::new(setting);
        for op in &ops {
            kernel.apply(op);
        }
        Ok(())
    });
    result.is_err()
}

#[test]
fn random_kernels_notice_every_defect() {
    for defect in [
        Defect::NoStoreBarrier,
        Defect::NoCompletion,
        Defect::WrongAsid,
        Defect::WrongAddress,
        Defect::LeafOnly,
        Defect::Local,
        Defect::ShortRange,
        Defect::WrongLevel,
        Defect::NoRepeat,
    ] {
        assert!(is_noticed(defect), "{defect:?}");
    }
    assert!(!is_noticed(Defect::None));
}
