//! Changes of pages, their flushes, and the tickets.

use super::kernel::{Holding, Kernel, Open, PAGES};
use super::pages::{Change, Stage};
use crate::random_kernel::{Half, Machine, Process};
use core::task::Poll;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::memory::descriptor::Rights;

fn rights(writable: bool) -> Rights {
    match writable {
        true => Rights::ReadWrite,
        false => Rights::ReadOnly,
    }
}

impl<M: Machine> Kernel<M> {
    pub(super) fn is_alive(&self) -> bool {
        !self.has_ended && self.ending.is_none()
    }

    fn can_work(&self, page: usize) -> bool {
        self.is_alive() && self.runs(self.by[page]).is_some()
    }

    pub(super) fn can_change(&self, page: usize) -> bool {
        self.can_work(page) && self.pages[page].is_settled()
    }

    /// Where that takes a flush in the middle, the other CPU must be able to answer.
    pub(super) fn can_widen(&self, page: usize) -> bool {
        let has = self.pages[page];
        let can_wait = !self.breaks_upgrades() || !self.is_amid_a_switch() && !self.device_stalls;
        self.can_change(page) && has.is_mapped() && !has.writable && can_wait
    }

    /// Where an old entry is in the batch, the whole process is flushed before, and waited for.
    pub(super) fn can_map(&self, page: usize) -> bool {
        let has = self.pages[page];
        let is_pending = has.stage == Stage::Deferred;
        let can_wait = !self.is_amid_a_switch() && !self.device_stalls;
        let may = has.is_settled() || is_pending && can_wait;
        self.can_work(page) && !has.is_mapped() && may
    }

    fn breaks_upgrades(&self) -> bool {
        self.rig.engine().breaks_upgrades(self.process.space)
    }

    /// Maps a page of either process to a frame of its own.
    pub(super) fn map_anew(&self, process: &Process<M::Arch>, page: usize) -> u64 {
        let layout = self.rig.layout();
        let frame = self.rig.model().allocate(layout.size(page as u64).bytes());
        let rights = rights(self.pages[page].writable);
        let mapping = layout.mapping(page as u64, frame, rights);
        process.tables.map(self.by[page], self.va(page), mapping);
        frame
    }

    pub(super) fn map(&mut self, page: usize) {
        if self.pages[page].stage == Stage::Deferred {
            self.flush_pending(page);
        }
        let frame = self.as_cpu(self.by[page], |rig| {
            let frame = self.map_anew(&self.process, page);
            rig.publish();
            frame
        });
        self.pages[page].frame = Some(frame);
    }

    pub(super) fn unmap(&mut self, page: usize) {
        let va = self.va(page);
        self.as_cpu(self.by[page], |_| {
            self.process.tables.unmap(self.by[page], va)
        });
        if let Some(frame) = self.pages[page].frame.take() {
            self.pages[page].stage = Stage::Changed(Change::Unmapped { frame });
        }
    }

    pub(super) fn protect(&mut self, page: usize, rights: Rights, change: Change) {
        let va = self.va(page);
        self.as_cpu(self.by[page], |_| {
            self.process.tables.protect(self.by[page], va, rights)
        });
        self.pages[page].writable = rights == Rights::ReadWrite;
        self.pages[page].stage = Stage::Changed(change);
    }

    /// In the way that everybody who shares the table can bear.
    pub(super) fn widen(&mut self, page: usize) {
        match self.breaks_upgrades() {
            true => self.widen_in_steps(page),
            false => self.protect(page, Rights::ReadWrite, Change::Widened),
        }
    }

    fn widen_in_steps(&mut self, page: usize) {
        self.pages[page].writable = true;
        let Some(frame) = self.pages[page].frame else {
            return;
        };
        let (tables, va, by) = (self.process.tables.clone(), self.va(page), self.by[page]);
        let mapping = self
            .rig
            .layout()
            .mapping(page as u64, frame, Rights::ReadWrite);
        let flush = self.flush_of(page);
        self.as_cpu(self.by[page], |rig| {
            let store = |step| match step {
                UpgradeStep::Invalidate => {
                    tables.unmap(by, va);
                }
                UpgradeStep::Widen => {
                    self.returned(page);
                    tables.map(by, va, mapping);
                }
            };
            let widened = rig.engine().upgrade(self.process.space, flush, store);
            widened.unwrap();
            rig.publish();
        });
        self.returned(page);
    }

    pub(super) fn flush_of(&self, page: usize) -> Flush {
        self.rig.layout().exactly(Half::User(0), page as u64)
    }

    /// Nothing yet.
    pub(super) fn holding(&self) -> Holding {
        Frames::inline(self.sink)
    }

    pub(super) fn frame(&self, page: usize, frame: u64) -> Item {
        Item::Frame {
            base: PhysAddr::new(frame),
            size: self.rig.layout().size(page as u64),
        }
    }

    pub(super) fn hold(&self, held: &mut Holding, item: Item) {
        self.sink.owes(&item);
        held.push(item).unwrap();
    }

    pub(super) fn start_flush(&mut self, page: usize) {
        let Some(change) = self.pages[page].change() else {
            return;
        };
        let (space, flush) = (self.process.space, self.flush_of(page));
        let ticket = self.as_cpu(self.by[page], |rig| match change {
            Change::Widened => rig.engine().start_upgrade(space, flush),
            _ => rig.engine().start(space, flush),
        });
        let mut held = self.holding();
        if let Change::Unmapped { frame } = change {
            self.hold(&mut held, self.frame(page, frame));
        }
        self.tickets[page] = Some(ticket.unwrap().holding(held));
        self.pages[page].stage = Stage::UnderWay;
    }

    /// Whether anything is waited for.
    pub(super) fn waits(&self) -> bool {
        let any = self.tickets.iter().any(Option::is_some);
        any || self.batch_flush.is_some() || self.ending.is_some()
    }

    /// One look at every ticket. When everybody has answered nobody has what is gone, which is free then.
    pub(super) fn look(&mut self) {
        for page in 0..PAGES {
            if is_over(&mut self.tickets[page]) {
                self.returned(page);
                self.pages[page].stage = Stage::Settled;
            }
        }
        self.look_at_batch();
        if is_over(&mut self.ending) {
            self.has_retired();
        }
    }

    pub(super) fn returned(&self, page: usize) {
        let (first, last) = self.rig.layout().span(Half::User(0), page as u64);
        let root = self.process.tables.root();
        self.rig.model().returned(root, first, last);
    }
}

/// Looks once; a ticket that is complete goes.
fn is_over<A: tlb_shootdown::arch::Arch>(ticket: &mut Option<Open<A>>) -> bool {
    let Some(open) = ticket else { return false };
    let Poll::Ready(result) = open.poll() else {
        return false;
    };
    result.unwrap();
    *ticket = None;
    true
}
