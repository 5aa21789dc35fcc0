//! One change after another, with the flush left out and with it.

use super::flush::ended;
use super::{Probe, Way};
use crate::conformance::cpus::{Check, ask};
use crate::conformance::entry::{Agent, Entry, PAGES, Window, finds};
use crate::conformance::failure::{Failure, Who};
use crate::conformance::passed::Passed;
use tlb_shootdown::cpu_set::{CpuId, CpuSet};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;

/// The kernel under test, and whom it consists of.
pub(super) struct Bench<'a, P: Platform, const WORDS: usize> {
    pub(super) engine: &'a Shootdown<P, WORDS>,
    pub(super) space: &'a AddressSpace<P::Arch, WORDS>,
    pub(super) probe: &'a dyn Probe,
    pub(super) online: CpuSet<WORDS>,
    /// What shares the space, until that is released.
    pub(super) device: Option<&'a dyn Agent>,
}

impl<'a, P: Platform, const WORDS: usize> Bench<'a, P, WORDS> {
    pub(super) fn new(
        engine: &'a Shootdown<P, WORDS>,
        space: &'a AddressSpace<P::Arch, WORDS>,
        probe: &'a dyn Probe,
    ) -> Self {
        Self {
            engine,
            space,
            probe,
            online: engine.online_cpus(),
            device: probe.device(),
        }
    }

    /// The calling CPU, and the last one where that is another.
    pub(super) fn initiators(&self) -> impl Iterator<Item = CpuId> + use<P, WORDS> {
        let _pin = self.engine.platform().pin_cpu();
        let caller = self.engine.platform().cpu();
        let last = self.online.iter().last();
        core::iter::once(caller).chain(last.filter(|&last| last != caller))
    }

    /// Whether this kernel can go that way.
    pub(super) fn is_possible(&self, way: Way) -> bool {
        if way.widens_in_place() && self.engine.breaks_upgrades(self.space) {
            return false;
        }
        let Some(window) = self.window(way) else {
            return false;
        };
        !way.is_of_tables() || window.hang_table(true)
    }

    /// The pages that a way changes.
    pub(super) fn window(&self, way: Way) -> Option<&dyn Window> {
        if way.is_kernel() {
            self.probe.kernel()
        } else {
            Some(self.probe)
        }
    }

    /// The change without its flush: how many still find the old entry. In order again on return.
    pub(super) fn control(&self, way: Way, passed: &mut Passed) -> Check {
        // On a machine that cannot bear it there is no such control.
        if way.is_upgrade() && self.engine.breaks_upgrades(self.space) {
            return Ok(());
        }
        let Some(window) = self.window(way) else {
            return Ok(());
        };
        self.prepare(way, window)?;
        self.change(way, window);
        for who in self.everybody(way) {
            let differing = self.differing(way, who, way.pages(), way.entries().1)?;
            passed.controls += way.pages().len() as u32;
            passed.stale += differing.count_ones();
        }
        self.restore_order(way)
    }

    /// The change and its flush, made by this CPU: everybody finds the new entry.
    pub(super) fn cure(&self, way: Way, initiator: CpuId) -> Check {
        let Some(window) = self.window(way) else {
            return Ok(());
        };
        self.prepare(way, window)?;
        ask(self.probe, initiator, || self.carry_out(way, window))??;
        self.look(way)?;
        if way.is_of_tables() {
            window.hang_table(true);
        }
        Ok(())
    }

    /// Everybody finds the new entry.
    pub(super) fn look(&self, way: Way) -> Check {
        for who in self.everybody(way) {
            // What it was not told of.
            if (way, who) == (Way::SpuriousFault, Who::Device) {
                continue;
            }
            if let Some(page) = first(self.differing_at_last(way, who)?) {
                return Err(Failure::Stale { way, who, page });
            }
        }
        Ok(())
    }

    /// Stores the old entries, by way of none, and lets everybody use them.
    pub(super) fn prepare(&self, way: Way, window: &dyn Window) -> Check {
        let (old, _) = way.entries();
        for entry in [Entry::Nothing, old] {
            (0..PAGES).for_each(|page| window.store(page, entry));
            self.restore_order(way)?;
        }
        for who in self.everybody(way) {
            if let Some(page) = first(self.differing(way, who, 0..PAGES, old)?) {
                return Err(Failure::Unprepared { who, page });
            }
        }
        Ok(())
    }

    /// Makes what was stored visible and drops everything else.
    fn restore_order(&self, way: Way) -> Check {
        if let Some(window) = self.window(way).filter(|_| way.is_of_tables()) {
            window.hang_table(true);
        }
        if way.is_kernel() {
            ended(Way::Everything, self.engine.flush_all())
        } else {
            ended(Way::Space, self.engine.flush_space(self.space))
        }
    }

    /// The stores of a change, without its flush.
    pub(super) fn change(&self, way: Way, window: &dyn Window) {
        let (_, new) = way.entries();
        if way.is_of_tables() {
            window.hang_table(false);
            return;
        }
        for page in way.pages() {
            // Two frames one after the other in place are undefined on some CPUs (Arm ARM D8.16.1): what a control leaves out is the flush alone.
            if way == Way::Replace {
                window.store(page, Entry::Nothing);
            }
            window.store(page, new);
        }
    }

    /// Whoever may hold entries of the pages.
    fn everybody(&self, way: Way) -> impl Iterator<Item = Who> + use<P, WORDS> {
        let online = self.online;
        let cpus = (0..CpuSet::<WORDS>::CAPACITY).map(|index| CpuId::new(index as u32));
        let device = !way.is_kernel() && self.device.is_some();
        cpus.filter(move |&cpu| online.contains(cpu))
            .map(Who::Cpu)
            .chain(device.then_some(Who::Device))
    }

    /// The pages, one bit each, in which somebody does not find what this entry says.
    fn differing(
        &self,
        way: Way,
        who: Who,
        pages: impl Iterator<Item = usize> + Clone + Sync,
        entry: Entry,
    ) -> Result<u32, Failure> {
        let look = |agent: &dyn Agent| {
            let differs = |page: &usize| !finds(agent, *page, entry, way.is_of_rights());
            bits(pages.clone().filter(differs))
        };
        match who {
            Who::Cpu(cpu) => ask(self.probe, cpu, || {
                self.window(way).map_or(0, |window| look(window))
            }),
            Who::Device => Ok(self.device.map_or(0, look)),
        }
    }

    /// The same after the flush, where a CPU may have to repair a spurious fault first.
    fn differing_at_last(&self, way: Way, who: Who) -> Result<u32, Failure> {
        let (_, new) = way.entries();
        let differing = self.differing(way, who, way.pages(), new)?;
        let repairs = match way {
            Way::SpuriousFault => true,
            Way::FlushUpgrade | Way::Upgrade => self.engine.platform().repairs_spurious_faults(),
            _ => false,
        };
        match (who, self.window(way)) {
            (Who::Cpu(cpu), Some(window)) if repairs && differing != 0 => {
                let (at, size) = (window.address(0), window.page_size());
                let fix = || self.engine.fix_spurious_fault(self.space, at, size);
                let fixed = ask(self.probe, cpu, fix)?;
                fixed.map_err(|refused| Failure::FlushRefused { way, refused })?;
                self.differing(way, who, way.pages(), new)
            }
            _ => Ok(differing),
        }
    }
}

fn bits(pages: impl Iterator<Item = usize>) -> u32 {
    pages.fold(0, |all, page| all | 1 << page)
}

fn first(pages: u32) -> Option<usize> {
    (pages != 0).then(|| pages.trailing_zeros() as usize)
}
