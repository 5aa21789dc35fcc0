//! The half of the address space that all CPUs share.

use super::kernel::{Kernel, PAGES, Page};
use super::machine::CPUS;
use super::tickets::{Of, Open};
use crate::input::Input;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::Frames;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

const BASE: u64 = 0xffff_9000_0000_0000;

fn address(page: u64) -> u64 {
    BASE + page * 0x1000
}

fn range(page: u64) -> PageRange {
    PageRange::page(VirtAddr::new(address(page)), PageSize::KIB_4)
}

impl<'m> Kernel<'m> {
    /// A page comes, or goes with a ticket.
    pub(super) fn kernel_page(&mut self, page: u64, input: &mut Input<'_>) {
        let (machine, me) = (self.machine, self.machine.me());
        match self.kernel_pages.get(&page).copied() {
            None => {
                let frame = machine.model.allocate(0x1000);
                let mapping = Mapping {
                    global: true,
                    ..Mapping::page(frame, Rights::ReadWrite)
                };
                machine.kernel.map(me, address(page), mapping);
                self.kernel_pages.insert(page, Page::Mapped((frame, true)));
            }
            Some(Page::Mapped((frame, _))) => {
                machine.kernel.unmap(me, address(page));
                self.kernel_pages.insert(page, Page::Ending(frame));
                let mut frames = Frames::inline::<2>(&machine.sink);
                let item = machine.sink.give(frame);
                frames.push(item).expect("two places");
                let reads = machine.device.state().reads;
                let (of, started) = match input.below(3) {
                    0 => (
                        Of::KernelTables(reads),
                        machine.engine.start_kernel_tables(range(page)),
                    ),
                    1 => (Of::Kernel, machine.engine.start_kernel(Flush::all())),
                    _ => {
                        let flush = Flush::pages(range(page)).leaf_only();
                        (Of::Kernel, machine.engine.start_kernel(flush))
                    }
                };
                self.open.push(Open {
                    of,
                    items: vec![item],
                    ticket: started.expect("a kernel address").holding(frames),
                });
            }
            Some(Page::Ending(_)) => {}
        }
    }

    /// A flush that is waited for at once, or a round of all CPUs.
    pub(super) fn kernel_flush(&mut self, page: u64, input: &mut Input<'_>) {
        let (machine, engine) = (self.machine, &self.machine.engine);
        let _ = machine.in_time(1, || match input.below(5) {
            0 => engine.flush_kernel_range(range(page)),
            1 => engine.flush_kernel_tables(range(page)),
            2 => engine.flush_all(),
            3 => engine.flush_space(&machine.spaces[(page % 2) as usize].0),
            _ => engine.sync_lockless_walkers(),
        });
    }

    pub(super) fn touch_kernel_half(&self) {
        for cpu in (0..CPUS).filter(|cpu| self.online[*cpu]) {
            for page in 0..PAGES {
                let _ = self.machine.model.cpu(cpu).read(address(page));
            }
        }
    }

    pub(super) fn settle_kernel_half(&mut self, is_over: impl Fn(&Page) -> bool) {
        let machine = self.machine;
        let root = machine.kernel.root();
        self.kernel_pages.retain(|page, state| {
            let ends = is_over(state);
            if ends {
                let first = address(*page);
                machine.model.returned(root, first, first | 0xfff);
            }
            !ends
        });
    }
}
