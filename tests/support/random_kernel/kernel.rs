//! What the kernel does, and its books.

use super::op::{How, Op};
use super::pages::{Half, Layout};
use super::{Machine, Process, Sink};
use std::collections::{BTreeMap, BTreeSet};
use tlb_shootdown::address::{PhysAddr, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::{Frames, Held, Item};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};

pub(crate) const SPACES: usize = 4;
pub(crate) const CPUS: usize = 4;

/// A page as the kernel has it in its books.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) frame: u64,
    writable: bool,
}

/// What is known of one half.
#[derive(Default)]
pub(super) struct Book {
    pub(super) pages: BTreeMap<u64, Page>,
    /// Changed and not flushed; what may be freed after the flush.
    changed: BTreeSet<u64>,
    upgraded: BTreeSet<u64>,
    frames: Vec<Item>,
    tables: Vec<Item>,
}

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Nothing,
    Runs(usize),
    /// It runs a kernel thread under what it has loaded.
    Borrows,
}

pub(crate) struct Kernel<M: Machine> {
    pub(crate) rig: M,
    pub(super) processes: Vec<Process<M::Arch>>,
    books: Vec<Book>,
    kernel: Book,
    pub(crate) cpus: [Does; CPUS],
    pub(super) layout: Layout,
    repairs: bool,
    pub(super) sink: Sink,
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

impl<M: Machine> Kernel<M> {
    pub(crate) fn new(rig: M, repairs: bool) -> Self {
        rig.platform().set_repairs_spurious_faults(repairs);
        Self {
            processes: (0..SPACES).map(|_| rig.process()).collect(),
            books: (0..SPACES).map(|_| Book::default()).collect(),
            kernel: Book::default(),
            cpus: [Does::Nothing; CPUS],
            layout: rig.layout(),
            repairs,
            sink: Sink(rig.model().clone()),
            stamp: 0,
            last_cost: Cost::ZERO,
            rig,
        }
    }

    pub(crate) fn apply(&mut self, op: Op<M::Own>) {
        self.rig.enter_kernel(self.me());
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
            Op::Reclaim { how } => self.reclaim(how),
            Op::Gather { space, pages, by } => self.gather(space, pages, by),
            Op::Access {
                cpu,
                half,
                page,
                write,
            } => self.access(cpu, half, page, write),
            Op::Touch { cpu } => self.touch(cpu),
            Op::Retire { space } => self.retire(space),
            Op::Own(own) => M::apply(self, own),
        }
        assert_eq!(self.rig.model().violations(), []);
    }

    /// What the last flush cost.
    pub(crate) fn last_cost(&self) -> Cost {
        self.last_cost
    }

    /// Whether the PID of a process is loaded.
    pub(crate) fn runs_something(&self, cpu: usize) -> bool {
        self.rig.cpu(cpu).root().is_some()
    }

    pub(crate) fn me(&self) -> usize {
        self.rig.platform().cpu().index()
    }

    /// The lock under which the tables are changed goes along, so the stores are visible there.
    fn go_on_at(&mut self, cpu: usize) {
        self.rig.engine().before_migration();
        self.rig.publish();
        self.rig.platform().migrate(cpu);
        self.rig.enter_kernel(cpu);
    }

    fn enter_lazy(&mut self, cpu: usize) {
        if let Does::Runs(_) = self.cpus[cpu] {
            self.rig.enter_lazy(cpu);
            self.cpus[cpu] = Does::Borrows;
        }
    }

    pub(super) fn book(&mut self, half: Half) -> &mut Book {
        match half {
            Half::User(space) => &mut self.books[space],
            Half::Kernel => &mut self.kernel,
        }
    }

    pub(super) fn tables(&self, half: Half) -> Tables {
        match half {
            Half::User(space) => self.processes[space].tables.clone(),
            Half::Kernel => self.rig.kernel_tables().clone(),
        }
    }

    /// A page that is mapped, or whose unmapping is not flushed, is unmapped and flushed first.
    pub(crate) fn map(&mut self, half: Half, page: u64, writable: bool) {
        self.unmap(half, page);
        if !self.book(half).changed.is_empty() {
            self.flush(half, How::Tight);
        }
        let layout = self.layout;
        let frame = self.rig.model().allocate(layout.size(page).bytes());
        let mapping = Mapping {
            global: half == Half::Kernel && self.rig.has_global_pages(),
            ..layout.mapping(page, frame, rights(writable))
        };
        let (tables, va) = (self.tables(half), layout.address(half, page));
        tables.map(self.me(), va, mapping);
        self.book(half).pages.insert(page, Page { frame, writable });
        // From not present to present: nothing to flush, only to be made visible.
        self.rig.publish();
        self.page_returned(half, page);
    }

    pub(crate) fn unmap(&mut self, half: Half, page: u64) {
        let layout = self.layout;
        if let Some(old) = self.book(half).pages.remove(&page) {
            self.tables(half)
                .unmap(self.me(), layout.address(half, page));
            let (base, size) = (PhysAddr::new(old.frame), layout.size(page));
            let book = self.book(half);
            book.frames.push(Item::Frame { base, size });
            book.upgraded.remove(&page);
            book.changed.insert(page);
        }
    }

    fn protect(&mut self, half: Half, page: u64, writable: bool) {
        let (tables, me) = (self.tables(half), self.me());
        let va = self.layout.address(half, page);
        let book = self.book(half);
        let Some(known) = book.pages.get_mut(&page) else {
            return;
        };
        if known.writable == writable {
            return;
        }
        known.writable = writable;
        tables.protect(me, va, rights(writable));
        // Up and down again within one flush is no upgrade, and the kernel's mappings know none.
        if writable && !book.changed.contains(&page) && half != Half::Kernel {
            book.upgraded.insert(page);
        } else {
            book.upgraded.remove(&page);
            book.changed.insert(page);
        }
    }

    /// Unmaps half of the small pages together with the table that they are in.
    fn unmap_table(&mut self, half: Half, table: u64) {
        let pages: Vec<u64> = (table * 8..table * 8 + 8).collect();
        let book = self.book(half);
        if !pages.iter().any(|page| book.pages.contains_key(page)) {
            return;
        }
        for &page in &pages {
            self.unmap(half, page);
        }
        let (me, va) = (self.me(), self.layout.address(half, table * 8));
        let unhung = self.tables(half).unhang_table(me, va);
        let unhung = unhung.map(|base| Item::Table {
            base: PhysAddr::new(base),
        });
        let book = self.book(half);
        book.tables.extend(unhung);
        book.changed.extend(pages);
    }

    pub(crate) fn flush(&mut self, half: Half, how: How) {
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
        let mut frames = self.holding(items);
        self.rig.publish();
        let me = self.me();
        let (engine, space) = (self.rig.engine(), &self.processes[space].space);
        let start = |(&flush, &cpu): (&Flush, &usize)| {
            self.rig.enter_kernel(cpu);
            self.rig.platform().set_current(cpu);
            engine.start(space, flush).unwrap()
        };
        let tickets: Vec<_> = flushes.iter().zip(&by).map(start).collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        self.rig.platform().set_current(me);
        if !flushes.is_empty() {
            frames.release();
            self.returned(half);
        }
    }

    /// A CPU in the middle of its switch has interrupts off: the flush may have to wait for it.
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
    pub(super) fn pending(&mut self, half: Half, how: How) -> (Vec<Flush>, Vec<Item>) {
        let layout = self.layout;
        let book = self.book(half);
        let upgraded = core::mem::take(&mut book.upgraded);
        let changed = core::mem::take(&mut book.changed);
        let mut items = core::mem::take(&mut book.frames);
        let tables = core::mem::take(&mut book.tables);
        for page in upgraded {
            self.flush_upgrade(half, page);
        }
        let common = layout.common_size(&changed);
        let hull = |stride| layout.hull(half, &changed, stride).map(Flush::pages);
        let Some(loose) = hull(layout.base) else {
            return (Vec::new(), Vec::new());
        };
        let sized = common.and_then(|size| Some(hull(size)?.leaf_size(size)));
        let sized = sized.unwrap_or(loose);
        let deep = !tables.is_empty();
        let exactly = |&page: &u64| layout.exactly(half, page);
        let flushes = match how {
            How::All => vec![Flush::all()],
            How::Tight if deep => vec![sized],
            How::Tight => vec![sized.leaf_only()],
            How::Each if !deep => changed.iter().map(exactly).collect(),
            _ => vec![loose],
        };
        items.extend(tables);
        (flushes, items)
    }

    fn holding(&self, items: Vec<Item>) -> impl Held<1> + '_ {
        let mut frames = Frames::inline::<256>(&self.sink);
        for item in items {
            frames.push(item).unwrap();
        }
        frames
    }

    /// Starts a flush, does something else, and waits for it.
    fn start_and(
        &mut self,
        half: Half,
        flush: Flush,
        items: Vec<Item>,
        meanwhile: impl FnOnce(&Self),
    ) {
        self.rig.take_interrupts();
        self.rig.model().take_counts();
        let engine = self.rig.engine();
        let ticket = match half {
            Half::User(space) => engine.start(&self.processes[space].space, flush),
            Half::Kernel => engine.start_kernel(flush),
        };
        let ticket = ticket.unwrap().holding(self.holding(items));
        meanwhile(self);
        let cost = ticket.wait().unwrap();
        self.rig.compare(&cost);
        self.last_cost = cost;
    }

    pub(super) fn returned(&self, half: Half) {
        let root = self.tables(half).root();
        self.rig.model().returned(root, 0, u64::MAX);
    }

    fn page_returned(&self, half: Half, page: u64) {
        let first = self.layout.address(half, page);
        let last = self.layout.last_byte(half, page);
        let root = self.tables(half).root();
        self.rig.model().returned(root, first, last);
    }

    fn flush_upgrade(&self, half: Half, page: u64) {
        let Half::User(space) = half else { return };
        self.rig.take_interrupts();
        self.rig.model().take_counts();
        let space = &self.processes[space].space;
        let flush = self.layout.exactly(half, page);
        let cost = self.rig.engine().flush_upgrade(space, flush);
        self.rig.compare(&cost.unwrap());
        self.page_returned(half, page);
    }

    fn crowd(&mut self, space: usize, page: u64) {
        let half = Half::User(space);
        self.map(half, page, true);
        for cpu in 0..CPUS {
            self.apply(Op::Switch { cpu, space });
            self.access(cpu, half, page, false);
            M::crowded(self, cpu, page);
        }
        self.unmap(half, page);
        self.flush(half, How::Tight);
    }

    /// The CPU reads everything there is, so that there is something to be stale.
    fn touch(&mut self, cpu: usize) {
        self.touch_half(cpu, Half::Kernel);
        if let Does::Runs(space) = self.cpus[cpu] {
            self.touch_half(cpu, Half::User(space));
        }
    }

    pub(crate) fn touch_half(&mut self, cpu: usize, half: Half) {
        for page in 0..self.layout.pages() {
            self.access(cpu, half, page, false);
        }
    }

    /// The address of a page, and a word that nobody has written yet.
    pub(crate) fn place(&mut self, half: Half, page: u64) -> (u64, u64) {
        self.stamp += 1;
        (self.layout.address(half, page), self.stamp)
    }

    /// An access must go as the table says, wherever no change is pending.
    pub(crate) fn access(&mut self, cpu: usize, half: Half, page: u64, write: bool) {
        let port = self.rig.cpu(cpu);
        match half {
            Half::User(space) if self.cpus[cpu] != Does::Runs(space) => return,
            Half::User(_) => {}
            Half::Kernel => self.rig.enter_kernel(cpu),
        }
        let (va, stamp) = self.place(half, page);
        let attempt = |stamp| {
            if write {
                port.write(va, stamp).is_ok()
            } else {
                port.read(va).is_ok()
            }
        };
        let mut done = attempt(stamp);
        if !done && self.repairs && self.allows(half, page, write) {
            self.repair(cpu, half, page);
            done = attempt(stamp);
        }
        self.check(half, page, write, done);
        let frame = self.book(half).pages.get(&page).map(|page| page.frame);
        if let (true, true, Some(frame)) = (write, done, frame) {
            assert_eq!(self.rig.model().peek(frame), stamp);
        }
    }

    fn repair(&self, cpu: usize, half: Half, page: u64) {
        let Half::User(space) = half else { return };
        let me = self.me();
        self.rig.enter_kernel(cpu);
        self.rig.platform().set_current(cpu);
        let at = VirtAddr::new(self.layout.address(half, page));
        let space = &self.processes[space].space;
        let size = self.layout.size(page);
        let repaired = self.rig.engine().fix_spurious_fault(space, at, size);
        repaired.unwrap();
        self.rig.platform().set_current(me);
    }

    fn allows(&mut self, half: Half, page: u64, write: bool) -> bool {
        let known = self.book(half).pages.get(&page);
        known.is_some_and(|known| known.writable || !write)
    }

    pub(crate) fn check(&mut self, half: Half, page: u64, write: bool, done: bool) {
        let book = self.book(half);
        if book.changed.contains(&page) || book.upgraded.contains(&page) {
            return;
        }
        let allowed = self.allows(half, page, write);
        assert_eq!(done, allowed, "{half:?}, page {page}");
    }

    /// The process ends and another begins: its root goes with the last ticket.
    pub(crate) fn retire(&mut self, space: usize) {
        for cpu in 0..CPUS {
            if self.cpus[cpu] == Does::Runs(space) {
                self.rig.switch_to_kernel(cpu);
                self.cpus[cpu] = Does::Nothing;
            }
        }
        let old = core::mem::replace(&mut self.processes[space], self.rig.process());
        let book = core::mem::take(&mut self.books[space]);
        let pages = book.pages.iter().map(|(&page, known)| Item::Frame {
            base: PhysAddr::new(known.frame),
            size: self.layout.size(page),
        });
        let root = old.tables.root();
        let base = PhysAddr::new(root);
        let tables = book.tables.iter().copied().chain([Item::Table { base }]);
        let items = pages.chain(book.frames.iter().copied()).chain(tables);
        let id = self.rig.shared_id(&old);
        self.rig.end(&old);
        self.rig.publish();
        let ticket = self.rig.engine().retire(&old.space).unwrap();
        ticket
            .holding(self.holding(items.collect()))
            .wait()
            .unwrap();
        if let Some(id) = id {
            let held = (0..CPUS).map(|cpu| self.rig.cpu(cpu).held_under(id));
            assert_eq!(held.sum::<usize>(), 0, "under {id}, which is given back");
        }
        self.rig.model().returned(root, 0, u64::MAX);
    }
}
