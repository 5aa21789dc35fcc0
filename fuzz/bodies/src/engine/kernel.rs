//! A small kernel that does what its input says.

use super::machine::{CPUS, Machine, SPACES};
use super::sink::Fate;
use super::{batches, device, tickets};
use crate::input::Input;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown_model::platform::IpiScript;

pub(super) const PAGES: u64 = 6;
const BASE: u64 = 0x4000_0000;

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Mapped(device::Entry),
    /// Unmapped, and what it had is held: not to be mapped before that is over.
    Ending(u64),
}

/// The life of a space, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Live,
    /// Somebody may still walk it.
    Ending,
    Over,
}

/// What a CPU has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Kernel,
    Of(usize),
    /// Kept for nobody.
    Borrowed,
}

pub(super) struct Kernel<'m> {
    pub(super) machine: &'m Machine,
    pub(super) pages: [BTreeMap<u64, Page>; SPACES],
    /// A table that was taken out: nothing may be mapped in its place before it is free.
    pub(super) tables: [Option<u64>; SPACES],
    /// Pages of the kernel's half, with their frames, and those that are on their way out.
    pub(super) kernel_pages: BTreeMap<u64, Page>,
    /// When the entry of a page was last changed and not flushed since, in changes.
    pub(super) changed: BTreeMap<(usize, u64), u64>,
    pub(super) changes: u64,
    pub(super) open: Vec<tickets::Open<'m>>,
    pub(super) gathers: Vec<batches::Gathering<'m>>,
    pub(super) batch: Option<batches::Batch<'m>>,
    /// Pages that were put into a gather or a batch and are not known to be flushed; whether they were dirty.
    pub(super) deferred: BTreeMap<(usize, u64), bool>,
    pub(super) attached: [Option<Attachment>; SPACES],
    pub(super) runs: [Root; CPUS],
    pub(super) online: [bool; CPUS],
    pub(super) lives: [Life; SPACES],
}

pub(super) fn address(page: u64) -> u64 {
    BASE + page * 0x1000
}

impl<'m> Kernel<'m> {
    pub(super) fn new(machine: &'m Machine) -> Self {
        Self {
            machine,
            pages: Default::default(),
            tables: [None; SPACES],
            kernel_pages: BTreeMap::new(),
            changed: BTreeMap::new(),
            changes: 0,
            open: Vec::new(),
            gathers: Vec::new(),
            deferred: BTreeMap::new(),
            batch: None,
            attached: [None; SPACES],
            runs: [Root::Kernel; CPUS],
            online: [true; CPUS],
            lives: [Life::Live; SPACES],
        }
    }

    pub(super) fn step(&mut self, input: &mut Input<'_>) {
        let cpu = input.below(CPUS as u64) as usize;
        let space = input.below(SPACES as u64) as usize;
        let page = input.below(PAGES);
        match input.below(32) {
            0..=2 => self.switch(cpu, space),
            3..=6 => self.map(space, page),
            7..=9 => self.unmap(space, page, input),
            10 | 11 => self.touch(),
            12 | 13 => self.look(input),
            14 => self.reclaim(space, page, input),
            15 => self.flush_batch(input),
            16 => self.gather(space, page, input),
            17 => self.finish_gather(input),
            18 => self.flush_pending(space),
            19 => self.attach_or_detach(space, input),
            20 => self.come_or_go(cpu),
            21 if input.below(2) == 1 => self.retire(space),
            22 => self.mishap(input),
            23 => self.lose_interrupts(cpu, input),
            24 => self.go_lazy(cpu),
            25 => self.downgrade(space, page),
            26 => self.upgrade(space, page, input),
            27 => self.free_table(space),
            28 => self.kernel_page(page, input),
            29 => self.kernel_flush(page, input),
            30 => self.replace(space, page),
            _ => self.go_on_at(cpu),
        }
        self.settle();
    }

    /// Nothing goes wrong any more: everything completes.
    pub(super) fn finish(&mut self) {
        self.calm();
        self.end_batches();
        self.end_tickets();
        self.settle();
    }

    /// The device and all CPUs answer from now on.
    pub(super) fn calm(&self) {
        let mut device = self.machine.device.state();
        (device.full, device.slow, device.errors) = (0, 0, 0);
        for cpu in 0..CPUS {
            let ground = &self.machine.ground.model;
            ground.script_ipis(cpu, IpiScript::Deliver);
        }
    }

    /// What the table says of a page.
    pub(super) fn entry(&self, space: usize, page: u64) -> Option<device::Entry> {
        match self.pages[space].get(&page) {
            Some(Page::Mapped(entry)) => Some(*entry),
            _ => None,
        }
    }

    /// The entry of a page has been changed; nothing is flushed yet.
    pub(super) fn change(&mut self, space: usize, page: u64) {
        self.changes += 1;
        self.changed.insert((space, page), self.changes);
    }

    /// A flush that started after so many changes is complete: nobody holds what these pages were before it.
    pub(super) fn completed(&mut self, space: usize, pages: RangeInclusive<u64>, started: u64) {
        let machine = self.machine;
        for page in pages {
            let last = self.changed.get(&(space, page));
            if last.is_none_or(|last| *last > started) {
                continue;
            }
            self.changed.remove(&(space, page));
            self.returned(space, page);
            let table = self.entry(space, page);
            let device = machine.device.state();
            device.assert_current(space as u64, address(page), table);
        }
    }

    fn returned(&self, space: usize, page: u64) {
        let first = address(page);
        let root = self.machine.spaces[space].1.root();
        self.machine.model.returned(root, first, first | 0xfff);
    }

    /// The same of all that a table translates.
    fn table_returned(&self, space: usize) {
        let first = address(0);
        let root = self.machine.spaces[space].1.root();
        self.machine.model.returned(root, first, first | 0x1f_ffff);
    }

    /// Pages whose frames are free again can be mapped again.
    fn settle(&mut self) {
        let machine = self.machine;
        let is_over = |state: &Page| match state {
            Page::Mapped(_) => false,
            Page::Ending(frame) => machine.sink.fate(*frame) == Some(Fate::Released),
        };
        for space in 0..SPACES {
            let over: Vec<_> = self.pages[space]
                .iter()
                .filter(|(_, state)| is_over(state))
                .map(|(page, _)| *page)
                .collect();
            let is_free = |table| machine.sink.fate(table) == Some(Fate::Released);
            if self.tables[space].is_some_and(is_free) {
                self.tables[space] = None;
                self.table_returned(space);
            }
            for page in over {
                self.pages[space].remove(&page);
                self.deferred.remove(&(space, page));
                self.completed(space, page..=page, self.changes);
            }
        }
        self.settle_kernel_half(is_over);
    }
}
