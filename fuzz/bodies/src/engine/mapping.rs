//! Pages that come, go and lose rights.

use super::kernel::{Kernel, Life, PAGES, Page, Root, address};
use super::machine::CPUS;
use super::tickets::{Of, Open};
use crate::input::Input;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::change::ReplaceStep;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

/// The request for these pages.
pub(super) fn flush_of(first: u64, last: u64) -> Flush {
    let (first, last) = (
        VirtAddr::new(address(first)),
        VirtAddr::new(address(last) | 0xfff),
    );
    Flush::pages(PageRange::inclusive(first, last, PageSize::KIB_4).expect("not empty"))
}

impl<'m> Kernel<'m> {
    pub(super) fn map(&mut self, space: usize, page: u64) {
        let is_taken = self.pages[space].contains_key(&page) || self.tables[space].is_some();
        if self.lives[space] != Life::Live || is_taken {
            return;
        }
        let frame = self.machine.model.allocate(0x1000);
        self.store(space, page, frame);
        self.pages[space].insert(page, Page::Mapped((frame, true)));
    }

    fn store(&self, space: usize, page: u64, frame: u64) {
        let tables = &self.machine.spaces[space].1;
        let mapping = Mapping::page(frame, Rights::ReadWrite);
        tables.map(self.machine.me(), address(page), mapping);
    }

    /// Takes a page out of its table; the frame is to be held until nobody uses it.
    pub(super) fn take(&mut self, space: usize, page: u64) -> Option<u64> {
        let (frame, _) = self.entry(space, page)?;
        let tables = &self.machine.spaces[space].1;
        tables.unmap(self.machine.me(), address(page));
        self.pages[space].insert(page, Page::Ending(frame));
        self.change(space, page);
        Some(frame)
    }

    /// One or two pages go with one ticket, which stays open.
    pub(super) fn unmap(&mut self, space: usize, page: u64, input: &mut Input<'_>) {
        let last = (page + input.below(2)).min(PAGES - 1);
        let known: Vec<_> = (page..=last)
            .filter_map(|page| self.take(space, page))
            .collect();
        let mut flush = flush_of(page, last);
        if input.flag() {
            flush = flush.leaf_only().leaf_size(PageSize::KIB_4);
        }
        let items = known.iter().map(|frame| self.machine.sink.give(*frame));
        self.start(space, page..=last, flush, items.collect());
    }

    /// Starts a flush of pages that were changed, and keeps its ticket open.
    pub(super) fn start(
        &mut self,
        space: usize,
        pages: std::ops::RangeInclusive<u64>,
        flush: Flush,
        items: Vec<Item>,
    ) {
        let machine = self.machine;
        match machine.engine.start(&machine.spaces[space].0, flush) {
            Ok(ticket) => {
                let mut frames = Frames::inline::<2>(&machine.sink);
                for item in &items {
                    frames.push(*item).expect("two places");
                }
                self.open.push(Open {
                    of: Of::Pages(space, pages, self.changes),
                    items,
                    ticket: ticket.holding(frames),
                });
            }
            Err(error) => {
                let is_over = self.lives[space] != Life::Live;
                assert!(is_over && items.is_empty(), "{error:?}");
            }
        }
    }

    /// A page may be written no more.
    pub(super) fn downgrade(&mut self, space: usize, page: u64) {
        let Some((frame, _)) = self.entry(space, page) else {
            return;
        };
        let tables = &self.machine.spaces[space].1;
        tables.protect(self.machine.me(), address(page), Rights::ReadOnly);
        self.pages[space].insert(page, Page::Mapped((frame, false)));
        self.change(space, page);
        self.start(space, page..=page, flush_of(page, page), Vec::new());
    }

    /// A page leads elsewhere, by way of an entry that leads nowhere.
    pub(super) fn replace(&mut self, space: usize, page: u64) {
        let Some(old) = self.take(space, page) else {
            return;
        };
        let machine = self.machine;
        let frame = machine.model.allocate(0x1000);
        machine.sink.begin(old);
        let replaced = machine.in_time(1, || {
            let of = &machine.spaces[space].0;
            machine
                .engine
                .replace(of, flush_of(page, page), |step| match step {
                    // `take` has made it.
                    ReplaceStep::Invalidate => {}
                    ReplaceStep::Store => {
                        self.completed(space, page..=page, self.changes);
                        self.store(space, page, frame);
                    }
                })
        });
        if replaced.is_err() {
            machine.sink.lose(old);
            machine.model.free(frame);
            return;
        }
        self.pages[space].insert(page, Page::Mapped((frame, true)));
        machine.sink.release(old);
    }

    /// The lowest table goes, where nothing is mapped by it any more.
    pub(super) fn free_table(&mut self, space: usize) {
        let machine = self.machine;
        let is_there = machine.spaces[space].1.table_at(address(0), 2).is_some();
        let is_used = !self.pages[space].is_empty() || self.tables[space].is_some();
        if self.lives[space] != Life::Live || is_used || !is_there {
            return;
        }
        let table = machine.spaces[space]
            .1
            .unhang_table(machine.me(), address(0));
        if let Some(table) = table {
            self.tables[space] = Some(table);
            let item = machine.sink.give_table(table);
            self.start(space, 0..=PAGES - 1, flush_of(0, 511), vec![item]);
        }
    }

    /// Everybody who can reads everything, so that there is something to be stale.
    pub(super) fn touch(&self) {
        let machine = self.machine;
        for page in 0..PAGES {
            for space in 0..self.pages.len() {
                let table = self.entry(space, page);
                let mut device = machine.device.state();
                device.read(space as u64, address(page), table);
            }
            for cpu in 0..CPUS {
                let port = machine.model.cpu(cpu);
                match self.runs[cpu] {
                    Root::Of(_) => drop(port.read(address(page))),
                    Root::Borrowed => port.speculate(address(page)),
                    Root::Kernel => {}
                }
            }
        }
        self.touch_kernel_half();
    }
}
