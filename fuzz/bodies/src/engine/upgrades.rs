//! Pages that are given rights.

use super::kernel::{Kernel, Page, Root, address};
use super::machine::CPUS;
use super::mapping::flush_of;
use super::tickets::{Of, Open};
use crate::input::Input;
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown::ticket::Frames;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::platform::ModelBarriers;

impl Kernel<'_> {
    /// A page may be written again; whoever runs it tries.
    pub(super) fn upgrade(&mut self, space: usize, page: u64, input: &mut Input<'_>) {
        let Some((frame, false)) = self.entry(space, page) else {
            return;
        };
        let machine = self.machine;
        if input.flag() && !machine.engine.breaks_upgrades(&machine.spaces[space].0) {
            self.widen(space, page, frame);
            self.start_upgrade(space, page);
            return;
        }
        // What is invalid for the time of it has to become valid again.
        while !self.upgraded(space, page, frame) {
            self.calm();
        }
        self.completed(space, page..=page, self.changes);
        self.write(space, page);
    }

    fn widen(&mut self, space: usize, page: u64, frame: u64) {
        let tables = &self.machine.spaces[space].1;
        tables.protect(self.machine.me(), address(page), Rights::ReadWrite);
        self.pages[space].insert(page, Page::Mapped((frame, true)));
        self.change(space, page);
    }

    fn start_upgrade(&mut self, space: usize, page: u64) {
        let machine = self.machine;
        let of = &machine.spaces[space].0;
        let ticket = machine
            .engine
            .start_upgrade(of, flush_of(page, page).leaf_only());
        self.open.push(Open {
            of: Of::Pages(space, page..=page, self.changes),
            items: Vec::new(),
            ticket: ticket
                .expect("a live space")
                .holding(Frames::inline(&machine.sink)),
        });
    }

    fn upgraded(&mut self, space: usize, page: u64, frame: u64) -> bool {
        let machine = self.machine;
        let (of, tables) = &machine.spaces[space];
        let mut is_broken = false;
        let flush = flush_of(page, page).leaf_only();
        let upgraded = machine.in_time(1, || {
            machine.engine.upgrade(of, flush, |step| match step {
                UpgradeStep::Invalidate => {
                    is_broken = true;
                    tables.unmap(machine.me(), address(page));
                    self.change(space, page);
                }
                UpgradeStep::Widen if is_broken => {
                    let mapping = Mapping::page(frame, Rights::ReadWrite);
                    self.pages[space].insert(page, Page::Mapped((frame, true)));
                    self.completed(space, page..=page, self.changes);
                    tables.map(machine.me(), address(page), mapping);
                    // Of what was not valid a walker has to be shown alone.
                    ModelBarriers::new(machine.model.clone()).publish_tables();
                }
                UpgradeStep::Widen => self.widen(space, page, frame),
            })
        });
        upgraded.is_ok()
    }

    /// Every CPU that runs the space writes to the page, and is helped where the kernel does that.
    fn write(&self, space: usize, page: u64) {
        let machine = self.machine;
        let repairs = machine.ground.repairs_spurious_faults();
        for cpu in (0..CPUS).filter(|cpu| self.runs[*cpu] == Root::Of(space)) {
            machine.on(cpu, || {
                let port = machine.model.cpu(cpu);
                if port.write(address(page), 1).is_ok() {
                    return;
                }
                assert!(repairs, "CPU {cpu} still faults");
                let (of, at) = (&machine.spaces[space].0, VirtAddr::new(address(page)));
                let fixed = machine.engine.fix_spurious_fault(of, at, PageSize::KIB_4);
                fixed.expect("a user address");
                assert_eq!(port.write(address(page), 1), Ok(()), "CPU {cpu}");
            });
        }
    }
}
