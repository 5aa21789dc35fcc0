//! Random kernels whose processes share their tables with accelerators: whatever they do, nothing stale is used or held once a flush
//! has returned, no element is missed, and no right is widened under a nest MMU that cannot follow.

use crate::linked::{BASE, Linked, Shared, kinds, small};
use crate::random_kernel::{Machine as _, Sink};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

const PAGES: u64 = 12;
const SPACES: usize = 2;
const CPUS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Op {
    Map {
        space: usize,
        page: u64,
        writable: bool,
    },
    Unmap {
        space: usize,
        page: u64,
    },
    Upgrade {
        space: usize,
        page: u64,
    },
    Downgrade {
        space: usize,
        page: u64,
    },
    Flush {
        space: usize,
        how: How,
    },
    Device {
        space: usize,
        page: u64,
        write: bool,
    },
    Cpu {
        cpu: usize,
        space: usize,
        page: u64,
    },
    /// The process ends with its device at work, and another begins.
    End {
        space: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Tight,
    Loose,
    All,
}

/// What is left out of the kernel, as a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Flushes,
    StepsOfUpgrades,
}

fn op() -> impl Strategy<Value = Op> {
    let (space, page) = (0..SPACES, 0..PAGES);
    let both = || (space.clone(), page.clone());
    prop_oneof![
        4 => (both(), any::<bool>()).prop_map(|((space, page), writable)| Op::Map { space, page, writable }),
        3 => both().prop_map(|(space, page)| Op::Unmap { space, page }),
        3 => both().prop_map(|(space, page)| Op::Upgrade { space, page }),
        2 => both().prop_map(|(space, page)| Op::Downgrade { space, page }),
        4 => (space.clone(), prop_oneof![3 => Just(How::Tight), 2 => Just(How::Loose), 1 => Just(How::All)])
            .prop_map(|(space, how)| Op::Flush { space, how }),
        8 => (both(), any::<bool>()).prop_map(|((space, page), write)| Op::Device { space, page, write }),
        4 => (0..CPUS, both()).prop_map(|(cpu, (space, page))| Op::Cpu { cpu, space, page }),
        1 => space.prop_map(|space| Op::End { space }),
    ]
}

/// A process as its kernel has it in its books: frames and rights by page, and what changed and is not flushed.
struct Owned {
    shared: Shared,
    pages: BTreeMap<u64, (u64, bool)>,
    changed: BTreeSet<u64>,
    frames: Vec<u64>,
}

struct Kernel {
    linked: Linked,
    owned: Vec<Owned>,
    left: Left,
}

fn address(page: u64) -> u64 {
    BASE + page * 0x1000
}

fn rights(writable: bool) -> Rights {
    if writable {
        Rights::ReadWrite
    } else {
        Rights::ReadOnly
    }
}

fn begin(linked: &Linked, space: usize) -> Owned {
    Owned {
        shared: linked.share(3 + space as u32),
        pages: BTreeMap::new(),
        changed: BTreeSet::new(),
        frames: Vec::new(),
    }
}

impl Kernel {
    fn new(linked: Linked, left: Left) -> Self {
        let owned = (0..SPACES).map(|space| begin(&linked, space)).collect();
        Self {
            linked,
            owned,
            left,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Map {
                space,
                page,
                writable,
            } => self.map(space, page, writable),
            Op::Unmap { space, page } => self.unmap(space, page),
            Op::Upgrade { space, page } => self.upgrade(space, page),
            Op::Downgrade { space, page } => self.downgrade(space, page),
            Op::Flush { space, how } => self.flush(space, how),
            Op::Device { space, page, write } => self.device(space, page, write),
            Op::Cpu { cpu, space, page } => {
                self.linked
                    .rig
                    .switch(cpu, &self.owned[space].shared.process);
                let read = self.linked.rig.cpu(cpu).read(address(page)).is_ok();
                self.check(space, page, false, read);
            }
            Op::End { space } => self.end(space),
        }
        self.linked.assert_clean();
    }

    fn map(&mut self, space: usize, page: u64, writable: bool) {
        self.unmap(space, page);
        self.flush(space, How::Tight);
        let owned = &mut self.owned[space];
        let (size, va) = (PageSize::KIB_4, address(page));
        let frame = self.linked.map(&owned.shared, va, size, rights(writable));
        owned.pages.insert(page, (frame, writable));
    }

    fn unmap(&mut self, space: usize, page: u64) {
        let owned = &mut self.owned[space];
        if let Some((frame, _)) = owned.pages.remove(&page) {
            owned.shared.process.tables.unmap(0, address(page));
            owned.frames.push(frame);
            owned.changed.insert(page);
        }
    }

    /// Rights are widened with nothing else pending of the space, as by a fault handler.
    fn upgrade(&mut self, space: usize, page: u64) {
        self.flush(space, How::Tight);
        let owned = &mut self.owned[space];
        let Some(known) = owned.pages.get_mut(&page) else {
            return;
        };
        known.1 = true;
        let (frame, va) = (known.0, address(page));
        let process = &owned.shared.process;
        let store = |step| match step {
            UpgradeStep::Invalidate => {
                process.tables.unmap(0, va);
            }
            UpgradeStep::Widen => {
                // Whatever had to be flushed has been.
                self.linked.returned(&owned.shared, va, va | 0xfff);
                process
                    .tables
                    .map(0, va, Mapping::page(frame, Rights::ReadWrite));
            }
        };
        let engine = &self.linked.rig.engine;
        if self.left == Left::StepsOfUpgrades {
            process.tables.protect(0, va, Rights::ReadWrite);
            engine.flush_upgrade(&process.space, small(va)).unwrap();
        } else {
            engine.upgrade(&process.space, small(va), store).unwrap();
        }
        self.linked.rig.publish();
        self.linked.returned(&owned.shared, va, va | 0xfff);
    }

    fn downgrade(&mut self, space: usize, page: u64) {
        let owned = &mut self.owned[space];
        if let Some(known) = owned.pages.get_mut(&page) {
            known.1 = false;
            let tables = &owned.shared.process.tables;
            tables.protect(0, address(page), Rights::ReadOnly);
            owned.changed.insert(page);
        }
    }

    fn flush(&mut self, space: usize, how: How) {
        let owned = &mut self.owned[space];
        let changed = core::mem::take(&mut owned.changed);
        let (Some(first), Some(last)) = (changed.first(), changed.last()) else {
            return;
        };
        let bounds = [address(*first), address(*last) + 0xfff].map(VirtAddr::new);
        let hull = PageRange::inclusive(bounds[0], bounds[1], PageSize::KIB_4).unwrap();
        let flush = match how {
            How::Tight => Flush::pages(hull).leaf_only().leaf_size(PageSize::KIB_4),
            How::Loose => Flush::pages(hull),
            How::All => Flush::all(),
        };
        if self.left == Left::Flushes {
            self.linked.rig.publish();
            self.linked.returned(&owned.shared, 0, u64::MAX);
        } else {
            self.linked.flush(&owned.shared, flush);
        }
        for frame in owned.frames.drain(..) {
            self.linked.rig.model.free(frame);
        }
    }

    fn device(&mut self, space: usize, page: u64, write: bool) {
        let (device, va) = (&self.owned[space].shared.device, address(page));
        let done = match write {
            true => device.write(va, page).is_ok(),
            false => device.read(va).is_ok(),
        };
        self.check(space, page, write, done);
    }

    /// An access must go as the table says, wherever no change is pending.
    fn check(&self, space: usize, page: u64, write: bool, done: bool) {
        let owned = &self.owned[space];
        if !owned.changed.contains(&page) {
            let known = owned.pages.get(&page);
            let allowed = known.is_some_and(|(_, writable)| *writable || !write);
            assert_eq!(done, allowed, "space {space}, page {page}, write {write}");
        }
    }

    fn end(&mut self, space: usize) {
        self.flush(space, How::Tight);
        let rig = &self.linked.rig;
        (0..CPUS).for_each(|cpu| rig.switch_to_kernel(cpu));
        let Owned { shared, pages, .. } = self.owned.remove(space);
        let pid = rig.pid(&shared.process).unwrap();
        rig.model.set_process(pid, None);
        let (sink, size) = (Sink(rig.model.clone()), PageSize::KIB_4);
        let mut items = Frames::inline::<16>(&sink);
        for (frame, _) in pages.into_values() {
            let base = PhysAddr::new(frame);
            items.push(Item::Frame { base, size }).unwrap();
        }
        let root = shared.process.tables.root();
        let base = PhysAddr::new(root);
        items.push(Item::Table { base }).unwrap();
        let mut ended = rig
            .engine
            .retire(&shared.process.space)
            .unwrap()
            .holding(items);
        while ended.poll().is_pending() {
            // It goes on until it is stopped.
            let _ = shared.device.read(BASE);
        }
        rig.model.returned(root, 0, u64::MAX);
        let mut patience = (0..1000).map(|_| true).chain([false]);
        let mut wait = || patience.next().unwrap_or(false);
        self.linked.driver.detach(shared.key, &mut wait).unwrap();
        self.owned.insert(space, begin(&self.linked, space));
    }
}

fn run(kind: usize, temper: Temper, left: Left, ops: &[Op]) {
    let (features, options) = kinds()[kind];
    let mut kernel = Kernel::new(Linked::new(features, options, temper), left);
    for &op in ops {
        kernel.apply(op);
    }
}

fn input() -> impl Strategy<Value = (Temper, Vec<Op>)> {
    let temper = prop_oneof![
        6 => any::<u64>().prop_map(Temper::Seeded),
        1 => Just(Temper::Late),
    ];
    (temper, prop::collection::vec(op(), 1..80))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promise_03_nothing_stale_behind_a_link(kind in 0..5_usize, (temper, ops) in input()) {
        run(kind, temper, Left::Nothing, &ops);
    }
}

/// Whether random kernels on such a machine notice what is left out.
fn is_noticed(kind: usize, left: Left) -> bool {
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&input(), |(temper, ops)| {
        run(kind, temper, left, &ops);
        Ok(())
    });
    result.is_err()
}

#[test]
fn random_kernels_notice_what_is_left_out() {
    for kind in 0..5 {
        assert!(is_noticed(kind, Left::Flushes), "{kind}");
        let believes = kinds()[kind].1.believes_its_rights;
        assert_eq!(is_noticed(kind, Left::StepsOfUpgrades), believes, "{kind}");
    }
}
