//! Calls whose ticket holds what comes free: the end of a space, and changes of the kernel's half.

use super::kernel::Kernel;
use super::machine::{Engine, Machine, Platform};
use tlb_shootdown::address::{PageRange, PageSize};
use tlb_shootdown::change::{Call, Decision, Needed};
use tlb_shootdown::ticket::{Frames, Item, Ticket};

/// The most pieces of memory that one call holds.
const ROOM: usize = 32;

impl<M: Machine> Kernel<M> {
    /// Retires the space with all its memory. Nobody runs it, and the device has not been asked to stop.
    pub(crate) fn retire(&mut self, owner: usize, items: &[Item]) {
        self.owes_a_flush();
        if let (Some(iommu), Some(context)) = (&self.iommu, Self::context_of(owner)) {
            iommu.ends(context);
        }
        let space = self.space(owner);
        self.complete_holding(owner, items, |engine| engine.retire(space).unwrap());
    }

    pub(crate) fn flush_kernel(
        &mut self,
        owner: usize,
        decision: &Decision,
        pages: PageRange,
        items: &[Item],
    ) {
        assert_eq!(decision.call(), Call::FlushKernel);
        let flush = decision.flush(pages, Some(PageSize::KIB_4));
        self.complete_holding(owner, items, |engine| engine.start_kernel(flush).unwrap());
    }

    pub(crate) fn flush_kernel_tables(
        &mut self,
        owner: usize,
        decision: &Decision,
        pages: PageRange,
        items: &[Item],
    ) {
        assert_eq!(decision.call(), Call::FlushKernelTables);
        self.complete_holding(owner, items, |engine| {
            engine.start_kernel_tables(pages).unwrap()
        });
    }

    /// A call that gives a ticket, which holds the memory until everybody has answered.
    fn complete_holding(
        &mut self,
        owner: usize,
        items: &[Item],
        start: impl FnOnce(&'static Engine<M>) -> Ticket<'static, Platform<M>, 1>,
    ) {
        let (sink, freed) = (self.sink, self.freed);
        let completed = self.complete(&[owner], Needed::Change, |engine| {
            let mut frames = Frames::inline::<ROOM>(sink);
            for &item in items {
                frames.push(item).unwrap();
            }
            let ticket = start(engine).holding(frames);
            assert_eq!(sink.released(), freed, "nobody was waited for");
            ticket.wait().unwrap();
        });
        if completed.is_none() {
            items.iter().for_each(|item| sink.release(item));
            self.judge();
        }
    }
}
