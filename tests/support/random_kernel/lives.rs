//! Processes end, and contexts of devices begin and cease to serve them.

use super::Machine;
use super::batches::BATCHES;
use super::kernel::{CPUS, Does, Kernel, Served};
use super::pages::Half;
use core::task::Poll;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::error::Refused;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::{Held, Item};

impl<M: Machine> Kernel<M> {
    /// A context that serves somebody serves another from here on.
    pub(super) fn attach(&mut self, context: usize, space: usize) {
        if context >= self.served.len() {
            return;
        }
        self.detach(context);
        let process = &self.processes[space];
        let attached = self.devices.attach(&self.rig, context, process);
        self.served[context] = attached.map(|attached| Served { space, attached });
    }

    pub(super) fn detach(&mut self, context: usize) {
        let Some(served) = self.served.get_mut(context).and_then(Option::take) else {
            return;
        };
        let process = &self.processes[served.space];
        self.devices
            .detach(&self.rig, context, process, served.attached);
        self.device_touch(context);
    }

    /// The process ends and another begins: its root goes with the last ticket. Some of its devices are detached before, the others are at
    /// work to the end.
    pub(crate) fn retire(&mut self, space: usize) {
        for cpu in 0..CPUS {
            if self.cpus[cpu] == Does::Runs(space) {
                self.switch_to_kernel(cpu);
            }
        }
        self.flush_batches_of(space);
        for context in (0..self.served.len()).step_by(2) {
            let serves = self.served[context].as_ref();
            if serves.is_some_and(|served| served.space == space) {
                self.detach(context);
            }
        }
        let items = self.remains(space);
        let old = &self.processes[space];
        let (root, id) = (old.tables.root(), self.rig.shared_id(old));
        self.rig.end(old);
        self.rig.publish();
        let held = self.holding(&items);
        self.retire_at_work(space, held);
        if let Some(id) = id {
            let held = (0..CPUS).map(|cpu| self.rig.cpu(cpu).held_under(id));
            assert_eq!(held.sum::<usize>(), 0, "under {id}, which is given back");
        }
        self.rig.model().returned(root, 0, u64::MAX);
        self.dismiss(space);
        self.processes[space] = self.rig.process();
    }

    /// A space of which a batch holds something cannot be retired.
    fn flush_batches_of(&mut self, space: usize) {
        for batch in 0..BATCHES {
            if self.batches[batch].holds(space) {
                let refused = self.rig.engine().retire(self.processes[space].space);
                assert_eq!(refused.err(), Some(Refused::Deferred));
                self.flush_batch(batch);
            }
        }
    }

    /// Everything that the process had.
    fn remains(&mut self, space: usize) -> Vec<Item> {
        let book = core::mem::take(&mut self.books[space]);
        let pages = book.pages.iter().map(|(&page, known)| Item::Frame {
            base: PhysAddr::new(known.frame),
            size: self.layout.size(page),
        });
        let base = PhysAddr::new(self.processes[space].tables.root());
        pages
            .chain(book.changed.items)
            .chain([Item::Table { base }])
            .collect()
    }

    /// Devices go on until they are stopped.
    fn retire_at_work(&self, space: usize, held: impl Held<1>) {
        let ticket = self.rig.engine().retire(self.processes[space].space);
        let mut ended = ticket.unwrap().holding(held);
        let va = self.layout.address(Half::User(space), 0);
        loop {
            if let Poll::Ready(ended) = ended.poll() {
                ended.unwrap();
                return;
            }
            for (context, served) in self.served.iter().enumerate() {
                if served.as_ref().is_some_and(|served| served.space == space) {
                    let _ = self.devices.read(context, va);
                }
            }
            self.rig.platform().relax();
        }
    }

    /// The contexts that served an ended process serve nobody.
    fn dismiss(&mut self, space: usize) {
        for context in 0..self.served.len() {
            let serves = self.served[context].as_ref();
            if serves.is_none_or(|served| served.space != space) {
                continue;
            }
            if let Some(Served { attached, .. }) = self.served[context].take() {
                self.device_touch(context);
                let process = &self.processes[space];
                self.devices
                    .retired(&self.rig, context, process, attached.key);
            }
        }
    }
}
