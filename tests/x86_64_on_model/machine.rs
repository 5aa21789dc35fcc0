//! A kernel that does what it is told, and keeps the books against which the machine is judged.

use crate::rig::{Parts, Process, Rig, Sink};
use std::collections::{BTreeMap, BTreeSet};
use tlb_shootdown::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::{Frames, Held, Item};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};

/// Pages of each space: two tables of the last level, the second half of them in the second.
pub(crate) const PAGES: u64 = 16;
pub(crate) const SPACES: usize = 4;
pub(crate) const CPUS: usize = 4;
const USER: u64 = 0x4000_0000;
const KERNEL: u64 = 0xffff_8000_4000_0000;

/// What the kernel does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// The kernel's work goes on on another CPU.
    Move {
        cpu: usize,
    },
    Switch {
        cpu: usize,
        space: usize,
    },
    /// The same, and what is pending is flushed from here before that CPU has loaded the root, or has said so.
    SwitchAmid {
        cpu: usize,
        space: usize,
        half: Half,
        loaded: bool,
    },
    SwitchToKernel {
        cpu: usize,
    },
    Lazy {
        cpu: usize,
    },
    /// To the process, which reads all that it has.
    Exit {
        cpu: usize,
    },
    /// All CPUs run one space and read a page of it, which is then unmapped.
    Crowd {
        space: usize,
        page: u64,
    },
    Map {
        half: Half,
        page: u64,
        writable: bool,
    },
    Unmap {
        half: Half,
        page: u64,
    },
    Protect {
        half: Half,
        page: u64,
        writable: bool,
    },
    UnmapTable {
        half: Half,
        table: u64,
    },
    Flush {
        half: Half,
        how: How,
    },
    /// Two pages are unmapped, and two CPUs flush one each at the same time.
    FlushTwice {
        space: usize,
        pages: [u64; 2],
        by: [usize; 2],
    },
    Access {
        cpu: usize,
        half: Half,
        page: u64,
        write: bool,
    },
    Touch {
        cpu: usize,
    },
    Retire {
        space: usize,
    },
}

/// Whose mappings: those of a process, or the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    User(usize),
    Kernel,
}

/// How pending changes are flushed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// One flush of the smallest range, with every promise that holds.
    Tight,
    /// The same without promises.
    Loose,
    /// Everything.
    All,
    /// Page by page.
    Each,
}

/// A page as the kernel has it in its books.
#[derive(Clone, Copy, Debug)]
struct Page {
    frame: u64,
    writable: bool,
}

/// What is known of one half.
#[derive(Default)]
struct Book {
    pages: BTreeMap<u64, Page>,
    /// Changed and not flushed; what may be freed after the flush.
    changed: BTreeSet<u64>,
    upgraded: BTreeSet<u64>,
    frames: Vec<u64>,
    tables: Vec<u64>,
}

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Nothing,
    Runs(usize),
    Borrows(usize),
}

pub(crate) struct Kernel {
    pub(crate) rig: Rig,
    processes: Vec<Process>,
    books: Vec<Book>,
    kernel: Book,
    cpus: [Does; CPUS],
    repairs: bool,
    sink: Sink,
    stamp: u64,
    last_cost: Cost,
}

fn rights(writable: bool) -> Rights {
    if writable {
        Rights::ReadWrite
    } else {
        Rights::ReadOnly
    }
}

impl Half {
    fn address(self, page: u64) -> u64 {
        let base = match self {
            Self::User(_) => USER,
            Self::Kernel => KERNEL,
        };
        base + ((page / 8) << 21) + page % 8 * 0x1000
    }

    fn exactly(self, page: u64) -> Flush {
        Flush::page(VirtAddr::new(self.address(page)), PageSize::KIB_4)
    }

    fn hull(self, pages: &BTreeSet<u64>) -> Option<PageRange> {
        let (first, last) = (pages.first()?, pages.last()?);
        let last_byte = VirtAddr::new(self.address(*last) | 0xfff);
        let first = VirtAddr::new(self.address(*first));
        PageRange::inclusive(first, last_byte, PageSize::KIB_4).ok()
    }
}

impl Kernel {
    pub(crate) fn new(parts: Parts, repairs: bool) -> Self {
        let rig = Rig::new(parts);
        rig.platform.set_repairs_spurious_faults(repairs);
        Self {
            processes: (0..SPACES).map(|_| rig.process()).collect(),
            books: (0..SPACES).map(|_| Book::default()).collect(),
            kernel: Book::default(),
            cpus: [Does::Nothing; CPUS],
            repairs,
            sink: rig.sink(),
            stamp: 0,
            last_cost: Cost::ZERO,
            rig,
        }
    }

    pub(crate) fn apply(&mut self, op: Op) {
        self.rig.cpu(self.me()).enter_kernel();
        match op {
            Op::Move { cpu } => self.go_on_at(cpu),
            Op::Switch { cpu, space } => {
                self.rig.switch(cpu, &self.processes[space]);
                self.cpus[cpu] = Does::Runs(space);
            }
            Op::SwitchAmid {
                cpu,
                space,
                half,
                loaded,
            } => self.switch_amid(cpu, space, half, loaded),
            Op::SwitchToKernel { cpu } => {
                self.rig.switch_to_kernel(cpu);
                self.cpus[cpu] = Does::Nothing;
            }
            Op::Lazy { cpu } => self.enter_lazy(cpu),
            Op::Crowd { space, page } => self.crowd(space, page),
            Op::Exit { cpu } => {
                if let Does::Runs(space) = self.cpus[cpu] {
                    self.rig.exit_to_user(cpu);
                    self.touch(cpu, Half::User(space));
                }
            }
            Op::Map {
                half,
                page,
                writable,
            } => self.map(half, page, writable),
            Op::Unmap { half, page } => self.unmap(half, page),
            Op::Protect {
                half,
                page,
                writable,
            } => self.protect(half, page, writable),
            Op::UnmapTable { half, table } => self.unmap_table(half, table),
            Op::Flush { half, how } => self.flush(half, how),
            Op::FlushTwice { space, pages, by } => self.flush_twice(space, pages, by),
            Op::Access {
                cpu,
                half,
                page,
                write,
            } => self.access(cpu, half, page, write),
            Op::Touch { cpu } => {
                self.touch(cpu, Half::Kernel);
                if let Does::Runs(space) = self.cpus[cpu] {
                    self.touch(cpu, Half::User(space));
                }
            }
            Op::Retire { space } => self.retire(space),
        }
        assert_eq!(self.rig.model.violations(), []);
    }

    /// What the last flush cost.
    pub(crate) fn last_cost(&self) -> Cost {
        self.last_cost
    }

    /// Whether the root of a process is loaded.
    pub(crate) fn runs_something(&self, cpu: usize) -> bool {
        self.rig.cpu(cpu).root().is_some()
    }

    fn me(&self) -> usize {
        self.rig.platform.cpu().index()
    }

    /// The lock under which the tables are changed goes along, so the stores are visible there.
    fn go_on_at(&mut self, cpu: usize) {
        self.rig.engine.before_migration();
        self.rig.publish();
        self.rig.platform.migrate(cpu);
        self.rig.cpu(cpu).enter_kernel();
    }

    fn enter_lazy(&mut self, cpu: usize) {
        if let Does::Runs(space) = self.cpus[cpu] {
            self.rig.enter_lazy(cpu);
            self.cpus[cpu] = Does::Borrows(space);
        }
    }

    fn book(&mut self, half: Half) -> &mut Book {
        match half {
            Half::User(space) => &mut self.books[space],
            Half::Kernel => &mut self.kernel,
        }
    }

    fn tables(&self, half: Half) -> Tables {
        match half {
            Half::User(space) => self.processes[space].tables.clone(),
            Half::Kernel => self.rig.kernel.clone(),
        }
    }

    /// A page that is mapped, or whose unmapping is not flushed, is unmapped and flushed first.
    fn map(&mut self, half: Half, page: u64, writable: bool) {
        self.unmap(half, page);
        if !self.book(half).changed.is_empty() {
            self.flush(half, How::Tight);
        }
        let frame = self.rig.model.allocate(0x1000);
        let mapping = Mapping {
            global: half == Half::Kernel && self.rig.has_global_pages(),
            ..Mapping::page(frame, rights(writable))
        };
        let (tables, va) = (self.tables(half), half.address(page));
        tables.map(self.me(), va, mapping);
        self.book(half).pages.insert(page, Page { frame, writable });
        // From not present to present: nothing to flush, only to be made visible.
        self.rig.publish();
        self.rig.model.returned(tables.root(), va, va | 0xfff);
    }

    fn unmap(&mut self, half: Half, page: u64) {
        if let Some(old) = self.book(half).pages.remove(&page) {
            self.tables(half).unmap(self.me(), half.address(page));
            let book = self.book(half);
            book.frames.push(old.frame);
            book.upgraded.remove(&page);
            book.changed.insert(page);
        }
    }

    fn protect(&mut self, half: Half, page: u64, writable: bool) {
        let (tables, me) = (self.tables(half), self.me());
        let book = self.book(half);
        let Some(known) = book.pages.get_mut(&page) else {
            return;
        };
        if known.writable == writable {
            return;
        }
        known.writable = writable;
        tables.protect(me, half.address(page), rights(writable));
        // Up and down again within one flush is no upgrade, and the kernel's mappings know none.
        if writable && !book.changed.contains(&page) && half != Half::Kernel {
            book.upgraded.insert(page);
        } else {
            book.upgraded.remove(&page);
            book.changed.insert(page);
        }
    }

    /// Unmaps half of the pages together with the table that they are in.
    fn unmap_table(&mut self, half: Half, table: u64) {
        let pages: Vec<u64> = (table * 8..table * 8 + 8).collect();
        let book = self.book(half);
        if !pages.iter().any(|page| book.pages.contains_key(page)) {
            return;
        }
        for &page in &pages {
            self.unmap(half, page);
        }
        let me = self.me();
        let unhung = self.tables(half).unhang_table(me, half.address(table * 8));
        let book = self.book(half);
        book.tables.extend(unhung);
        book.changed.extend(pages);
    }

    fn flush(&mut self, half: Half, how: How) {
        let (flushes, items) = self.pending(half, how);
        let Some((last, first)) = flushes.split_last() else {
            return;
        };
        for &flush in first {
            self.start_and(half, flush, Vec::new(), |_| ());
        }
        self.start_and(half, *last, items, |_| ());
        self.returned(half);
    }

    fn flush_twice(&mut self, space: usize, pages: [u64; 2], by: [usize; 2]) {
        let half = Half::User(space);
        self.flush(half, How::Tight);
        pages.iter().for_each(|&page| self.unmap(half, page));
        let (flushes, items) = self.pending(half, How::Each);
        let mut frames = Frames::inline::<256>(&self.sink);
        for item in items {
            frames.push(item).unwrap();
        }
        self.rig.publish();
        let me = self.me();
        let (engine, space) = (&self.rig.engine, &self.processes[space].space);
        let start = |(&flush, &cpu): (&Flush, &usize)| {
            self.rig.cpu(cpu).enter_kernel();
            self.rig.platform.set_current(cpu);
            engine.start(space, flush).unwrap()
        };
        let tickets: Vec<_> = flushes.iter().zip(&by).map(start).collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        self.rig.platform.set_current(me);
        if !flushes.is_empty() {
            frames.release();
            self.returned(half);
        }
    }

    /// A CPU in the middle of its switch has interrupts off: the flush waits for it, and is over when it has gone on.
    fn switch_amid(&mut self, cpu: usize, space: usize, half: Half, loaded: bool) {
        if cpu == self.me() {
            return self.apply(Op::Switch { cpu, space });
        }
        let (flushes, items) = self.pending(half, How::Tight);
        let switching = self.rig.begin_switch(cpu, &self.processes[space]);
        if loaded {
            self.rig.load(&switching, &self.processes[space]);
        }
        let end = |kernel: &Self| {
            if !loaded {
                kernel.rig.load(&switching, &kernel.processes[space]);
            }
            kernel.rig.end_switch(switching);
        };
        match flushes.last() {
            Some(&flush) => self.start_and(half, flush, items, end),
            None => end(self),
        }
        self.cpus[cpu] = Does::Runs(space);
        if !flushes.is_empty() {
            self.returned(half);
        }
    }

    /// What has to be flushed, and what is free after it. Upgrades are over with on return.
    fn pending(&mut self, half: Half, how: How) -> (Vec<Flush>, Vec<Item>) {
        let book = self.book(half);
        let upgraded = core::mem::take(&mut book.upgraded);
        let changed = core::mem::take(&mut book.changed);
        let frames = core::mem::take(&mut book.frames).into_iter();
        let tables = core::mem::take(&mut book.tables);
        for page in upgraded {
            self.flush_upgrade(half, page);
        }
        let Some(hull) = half.hull(&changed) else {
            return (Vec::new(), Vec::new());
        };
        let deep = !tables.is_empty();
        let tight = Flush::pages(hull).leaf_only().leaf_size(PageSize::KIB_4);
        let flushes = match how {
            How::All => vec![Flush::all()],
            How::Tight if !deep => vec![tight],
            How::Each if !deep => changed.iter().map(|&page| half.exactly(page)).collect(),
            _ => vec![Flush::pages(hull)],
        };
        let size = PageSize::KIB_4;
        let frames = frames
            .map(PhysAddr::new)
            .map(|base| Item::Frame { base, size });
        let tables = tables.into_iter().map(PhysAddr::new);
        let tables = tables.map(|base| Item::Table { base });
        (flushes, frames.chain(tables).collect())
    }

    /// Starts a flush, does something else, and waits for it.
    fn start_and(
        &mut self,
        half: Half,
        flush: Flush,
        items: Vec<Item>,
        meanwhile: impl FnOnce(&Self),
    ) {
        let mut frames = Frames::inline::<256>(&self.sink);
        for item in items {
            frames.push(item).unwrap();
        }
        self.rig.model.take_counts();
        let engine = &self.rig.engine;
        let ticket = match half {
            Half::User(space) => engine.start(&self.processes[space].space, flush),
            Half::Kernel => engine.start_kernel(flush),
        };
        let ticket = ticket.unwrap().holding(frames);
        meanwhile(self);
        let cost = ticket.wait().unwrap();
        self.compare(&cost);
        self.last_cost = cost;
    }

    fn returned(&self, half: Half) {
        self.rig
            .model
            .returned(self.tables(half).root(), 0, u64::MAX);
    }

    fn flush_upgrade(&self, half: Half, page: u64) {
        let Half::User(space) = half else { return };
        self.rig.model.take_counts();
        let space = &self.processes[space].space;
        let cost = self.rig.engine.flush_upgrade(space, half.exactly(page));
        self.compare(&cost.unwrap());
        let va = half.address(page);
        let root = self.tables(half).root();
        self.rig.model.returned(root, va, va | 0xfff);
    }

    /// The library's figures are the machine's. Those who were asked count for themselves.
    fn compare(&self, cost: &Cost) {
        let counts = self.rig.model.take_counts();
        assert_eq!(cost.ipis, counts.ipis);
        if counts.ipis == 0 {
            let said = [
                cost.store_barriers,
                cost.invalidations,
                cost.completion_barriers,
            ];
            let counted = [
                counts.store_barriers,
                counts.tlbis,
                counts.completion_barriers,
            ];
            assert_eq!(said, counted);
        }
    }

    fn crowd(&mut self, space: usize, page: u64) {
        let half = Half::User(space);
        self.map(half, page, true);
        for cpu in 0..CPUS {
            self.apply(Op::Switch { cpu, space });
            self.access(cpu, half, page, false);
        }
        self.unmap(half, page);
        self.flush(half, How::Tight);
    }

    /// The CPU reads everything there is, so that there is something to be stale.
    fn touch(&mut self, cpu: usize, half: Half) {
        for page in 0..PAGES {
            self.access(cpu, half, page, false);
        }
    }

    /// An access must go as the table says, wherever no change is pending. A process that runs without the kernel has no access to
    /// the kernel's mappings.
    fn access(&mut self, cpu: usize, half: Half, page: u64, write: bool) {
        let port = self.rig.cpu(cpu);
        match half {
            Half::User(space) if self.cpus[cpu] != Does::Runs(space) => return,
            Half::User(_) => {}
            Half::Kernel => {
                port.enter_kernel();
            }
        }
        self.stamp += 1;
        let va = half.address(page);
        let attempt = |stamp| {
            if write {
                port.write(va, stamp).is_ok()
            } else {
                port.read(va).is_ok()
            }
        };
        let mut done = attempt(self.stamp);
        if !done && self.repairs && self.allows(half, page, write) {
            self.repair(cpu, half, page);
            done = attempt(self.stamp);
        }
        self.check(half, page, write, done);
    }

    fn repair(&self, cpu: usize, half: Half, page: u64) {
        let Half::User(space) = half else { return };
        let me = self.me();
        self.rig.cpu(cpu).enter_kernel();
        self.rig.platform.set_current(cpu);
        let at = VirtAddr::new(half.address(page));
        let space = &self.processes[space].space;
        let repaired = self
            .rig
            .engine
            .fix_spurious_fault(space, at, PageSize::KIB_4);
        repaired.unwrap();
        self.rig.platform.set_current(me);
    }

    fn allows(&mut self, half: Half, page: u64, write: bool) -> bool {
        let known = self.book(half).pages.get(&page);
        known.is_some_and(|known| known.writable || !write)
    }

    fn check(&mut self, half: Half, page: u64, write: bool, done: bool) {
        let book = self.book(half);
        if book.changed.contains(&page) || book.upgraded.contains(&page) {
            return;
        }
        let frame = book.pages.get(&page).map(|page| page.frame);
        assert_eq!(
            done,
            self.allows(half, page, write),
            "{half:?}, page {page}"
        );
        if let (true, true, Some(frame)) = (write, done, frame) {
            assert_eq!(self.rig.model.peek(frame), self.stamp);
        }
    }

    /// The process ends and another begins: its root goes with the last ticket.
    fn retire(&mut self, space: usize) {
        for cpu in 0..CPUS {
            if self.cpus[cpu] == Does::Runs(space) {
                self.rig.switch_to_kernel(cpu);
                self.cpus[cpu] = Does::Nothing;
            }
        }
        self.rig.publish();
        let old = core::mem::replace(&mut self.processes[space], self.rig.process());
        let book = core::mem::take(&mut self.books[space]);
        let size = PageSize::KIB_4;
        let pages = book.pages.into_values().map(|page| page.frame);
        let mut frames = Frames::inline::<256>(&self.sink);
        for base in pages.chain(book.frames).map(PhysAddr::new) {
            frames.push(Item::Frame { base, size }).unwrap();
        }
        let root = old.tables.root();
        for base in book.tables.into_iter().chain([root]).map(PhysAddr::new) {
            frames.push(Item::Table { base }).unwrap();
        }
        let ticket = self.rig.engine.retire(&old.space).unwrap();
        let shared = self.rig.shared_id(&old);
        ticket.holding(frames).wait().unwrap();
        if let Some(pcid) = shared {
            let held = (0..CPUS).map(|cpu| self.rig.cpu(cpu).held_under(pcid));
            assert_eq!(
                held.sum::<usize>(),
                0,
                "under PCID {pcid}, which is given back"
            );
        }
        self.rig.model.returned(root, 0, u64::MAX);
    }
}
