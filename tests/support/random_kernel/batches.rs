//! What the kernel defers: batches over its spaces, gathers of one.

use super::kernel::{CPUS, Does, Kernel, SPACES};
use super::op::How;
use super::pages::Half;
use super::{Machine, Sink};
use tlb_shootdown::address::{PhysAddr, VirtAddr};
use tlb_shootdown::batch::{AddError, Gather, Reclaim};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::platform::ModelPlatform;

/// Fewer than there are spaces, so that batches fill up.
const PLACES: usize = SPACES - 1;

/// Fewer than a gather takes pages, so that it flushes early.
const ROOM: usize = 3;

type Gathering<'e, A> = Gather<'e, ModelPlatform<A>, 1, Sink, [Item; ROOM]>;

impl<M: Machine> Kernel<M> {
    /// Memory is added behind the changes that free it: a batch that is full is flushed in between.
    pub(super) fn reclaim(&mut self, how: How) {
        let pending: Vec<_> = (0..SPACES)
            .map(|space| self.pending(Half::User(space), how))
            .collect();
        self.rig.take_interrupts();
        self.rig.model().take_counts();
        let mut cost = Cost::ZERO;
        let frames = Frames::inline::<512>(&self.sink);
        let mut batch = Reclaim::<_, 1, PLACES, _>::holding(self.rig.engine(), frames);
        for (process, (flushes, items)) in self.processes.iter().zip(&pending) {
            for &flush in flushes {
                if batch.add(&process.space, flush) == Err(AddError::Full) {
                    cost += batch.flush().unwrap();
                    batch.add(&process.space, flush).unwrap();
                }
            }
            for &item in items {
                batch.held().push(item).unwrap();
            }
        }
        self.fill_up();
        cost += batch.flush().unwrap();
        drop(batch);
        self.rig.compare(&cost);
        for (space, (flushes, _)) in pending.iter().enumerate() {
            if !flushes.is_empty() {
                self.returned(Half::User(space));
            }
        }
    }

    pub(super) fn gather(&mut self, space: usize, pages: [u64; 5], by: [usize; 2]) {
        let half = Half::User(space);
        self.flush(half, How::Tight);
        let book = self.book(half);
        let pages = pages.iter();
        let known: Vec<_> = pages
            .filter_map(|&page| Some((page, book.pages.remove(&page)?.frame)))
            .collect();
        if by[0] == by[1] {
            self.gather_alone(space, &known);
        } else {
            self.gather_together(space, &known, by);
        }
        if !known.is_empty() {
            self.returned(half);
        }
    }

    fn gather_alone(&self, space: usize, known: &[(u64, u64)]) {
        self.rig.take_interrupts();
        self.rig.model().take_counts();
        let mut gather = self.open_gather(space);
        self.unmap_into(&mut gather, Half::User(space), known);
        self.fill_up();
        self.rig.compare(&gather.finish().unwrap());
    }

    /// Two gathers are open at once, and finish on two CPUs one after the other.
    fn gather_together(&self, space: usize, known: &[(u64, u64)], by: [usize; 2]) {
        let me = self.me();
        let parts = known.split_at(known.len() / 2);
        let mut gathers = [parts.0, parts.1].map(|part| {
            let mut gather = self.open_gather(space);
            self.unmap_into(&mut gather, Half::User(space), part);
            gather
        });
        self.fill_up();
        self.rig.publish();
        for (gather, cpu) in gathers.iter_mut().zip(by) {
            self.rig.enter_kernel(cpu);
            self.rig.platform().set_current(cpu);
            self.rig.take_interrupts();
            self.rig.model().take_counts();
            self.rig.compare(&gather.finish().unwrap());
        }
        self.rig.platform().set_current(me);
    }

    fn open_gather(&self, space: usize) -> Gathering<'_, M::Arch> {
        let frames = Frames::inline::<ROOM>(&self.sink);
        Gather::new(self.rig.engine(), &self.processes[space].space, frames).unwrap()
    }

    fn unmap_into(&self, gather: &mut Gathering<'_, M::Arch>, half: Half, known: &[(u64, u64)]) {
        for &(page, frame) in known {
            let (va, size) = (self.layout.address(half, page), self.layout.size(page));
            self.tables(half).unmap(self.me(), va);
            let (va, frame) = (VirtAddr::new(va), PhysAddr::new(frame));
            let gathered = match page % 2 {
                0 => gather.unmap(va, size, Some(frame)),
                _ => gather.unmap_dirty(va, size, frame),
            };
            gathered.unwrap();
        }
    }

    /// CPUs go on using what they run while it is pending.
    fn fill_up(&self) {
        for cpu in 0..CPUS {
            let Does::Runs(space) = self.cpus[cpu] else {
                continue;
            };
            for page in 0..self.layout.pages() {
                let va = self.layout.address(Half::User(space), page);
                let _ = self.rig.cpu(cpu).read(va);
            }
        }
    }
}
