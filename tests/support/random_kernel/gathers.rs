//! What the kernel unmaps with gathers.

use super::kernel::Kernel;
use super::op::How;
use super::pages::Half;
use super::{Machine, Sink, book::Changes};
use tlb_shootdown::address::{PhysAddr, VirtAddr};
use tlb_shootdown::batch::Gather;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::{Frames, Item};
use tlb_shootdown_model::platform::ModelPlatform;

/// Fewer than a gather takes pages, so that it flushes early.
const ROOM: usize = 3;

type Gathering<A> = Gather<'static, ModelPlatform<A>, 1, Sink, [Item; ROOM]>;

impl<M: Machine> Kernel<M> {
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
        let gathered = Changes {
            pages: known.iter().map(|&(page, _)| page).collect(),
            ..Changes::default()
        };
        self.returned(half, &gathered);
    }

    fn gather_alone(&self, space: usize, known: &[(u64, u64)]) {
        self.take_counts();
        let mut gather = self.open_gather(space);
        self.unmap_into(&mut gather, Half::User(space), known);
        self.fill_up();
        self.compare_deferred(&gather.finish().unwrap());
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
            self.take_counts();
            self.compare_deferred(&gather.finish().unwrap());
        }
        self.rig.platform().set_current(me);
    }

    fn open_gather(&self, space: usize) -> Gathering<M::Arch> {
        let frames = Frames::inline::<ROOM>(self.sink);
        Gather::new(self.rig.engine(), self.processes[space].space, frames).unwrap()
    }

    fn unmap_into(&self, gather: &mut Gathering<M::Arch>, half: Half, known: &[(u64, u64)]) {
        for &(page, frame) in known {
            let (va, size) = (self.layout.address(half, page), self.layout.size(page));
            self.tables(half).unmap(self.me(), va);
            let (va, base) = (VirtAddr::new(va), PhysAddr::new(frame));
            self.sink.owes(&Item::Frame { base, size });
            let gathered = match page % 2 {
                0 => gather.unmap(va, size, Some(base)),
                _ => gather.unmap_dirty(va, size, base),
            };
            gathered.unwrap();
        }
    }
}
