//! The end of the process, and of a run.

use super::devices::CONTEXT;
use super::kernel::{CPUS, Does, Kernel, PAGES};
use super::pages::{Change, Stage};
use super::step::Next;
use crate::random_kernel::Machine;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::Item;

/// More turns than anybody takes to answer.
const PATIENCE: usize = 400;

impl<M: Machine> Kernel<M> {
    /// No task runs it, and no batch holds anything of it. It may be loaded for nobody, and tickets may be open.
    pub(super) fn can_retire(&self) -> bool {
        let has_left = |cpu| matches!(self.runs(cpu), Some(now) if now != Next::Process);
        let is_batched = self.batch.is_some() || self.batch_flush.is_some();
        self.is_alive() && (0..CPUS).all(has_left) && !is_batched
    }

    /// All its memory goes with the ticket, its root too.
    pub(super) fn retire(&mut self) {
        let mut held = self.holding();
        for page in 0..PAGES {
            let has = self.pages[page];
            let gone = match has.change() {
                Some(Change::Unmapped { frame }) => Some(frame),
                _ => None,
            };
            for frame in has.frame.into_iter().chain(gone) {
                self.hold(&mut held, self.frame(page, frame));
            }
        }
        let base = PhysAddr::new(self.process.tables.root());
        self.hold(&mut held, Item::Table { base });
        self.rig.end(&self.process);
        (0..CPUS).for_each(|cpu| self.as_cpu(cpu, M::publish));
        let ticket = self.as_cpu(self.me, |rig| rig.engine().retire(self.process.space));
        self.ending = Some(ticket.unwrap().holding(held));
    }

    /// Nobody has anything of it, and its identifier may be another's.
    pub(super) fn has_retired(&mut self) {
        if let Some(id) = self.rig.shared_id(&self.process) {
            let held = (0..CPUS).map(|cpu| self.rig.cpu(cpu).held_under(id));
            assert_eq!(held.sum::<usize>(), 0, "under {id}, which is given back");
        }
        let root = self.process.tables.root();
        self.rig.model().returned(root, 0, u64::MAX);
        if let (Some(devices), Some(attached)) = (&self.devices, self.attached.take()) {
            let read = devices.read(CONTEXT, self.va(0));
            assert!(!read, "the device of a process that has ended");
            devices.retired(&self.rig, CONTEXT, &self.process, attached.key);
        }
        self.has_ended = true;
    }

    /// Everybody goes on, and answers in the end; nobody has what is gone, and everybody may what the table says.
    pub(super) fn end(&mut self) {
        for cpu in 0..CPUS {
            self.load_or_leave(cpu);
        }
        if self.device_stalls {
            self.stall_device(false);
        }
        if self.is_alive() {
            (0..PAGES).for_each(|page| self.start_flush(page));
        }
        self.wait_for_all();
        if !self.has_ended {
            self.use_everything();
        }
        self.judge();
        assert_eq!(self.sink.owed(), 0, "lost");
    }

    fn load_or_leave(&mut self, cpu: usize) {
        if matches!(self.cpus[cpu], Does::Switches { loaded: false, .. }) {
            self.load_root(cpu);
        }
        self.end_switch(cpu);
    }

    fn wait_for_all(&mut self) {
        for _ in 0..PATIENCE {
            if self.batch_flush.is_none() {
                self.start_batch_flush();
            }
            self.look();
            if !self.waits() && self.batch.is_none() {
                return;
            }
            self.rig.platform().relax();
        }
        panic!("somebody is late");
    }

    fn use_everything(&mut self) {
        for cpu in 0..CPUS {
            self.touch(cpu);
        }
        self.device_touch();
        for page in 0..PAGES {
            assert_eq!(self.pages[page].stage, Stage::Settled);
            let (va, allowed) = (self.va(page), self.pages[page].is_writable());
            for cpu in (0..CPUS).filter(|cpu| self.runs(*cpu) == Some(Next::Process)) {
                let written = self.rig.cpu(cpu).write(va, 1).is_ok();
                self.expect(page, written, allowed, "CPU that writes", cpu);
            }
            self.device_access(page, true);
        }
    }
}
