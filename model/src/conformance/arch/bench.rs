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
    online: CpuSet<WORDS>,
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
        for (who, page) in self.looks(way) {
            passed.controls += 1;
            let is_new = self.sees(way, who, page, way.entries().1)?;
            passed.stale += u32::from(!is_new);
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
        for (who, page) in self.looks(way) {
            let is_new = match (way, who) {
                // What it was not told of.
                (Way::SpuriousFault, Who::Device) => true,
                _ => self.sees_at_last(way, who, page)?,
            };
            if !is_new {
                return Err(Failure::Stale { way, who, page });
            }
        }
        if way.is_of_tables() {
            window.hang_table(true);
        }
        Ok(())
    }

    /// Stores the old entries, by way of none, and lets everybody use them.
    fn prepare(&self, way: Way, window: &dyn Window) -> Check {
        let (old, _) = way.entries();
        for entry in [Entry::Nothing, old] {
            (0..PAGES).for_each(|page| window.store(page, entry));
            self.restore_order(way)?;
        }
        for page in 0..PAGES {
            for who in self.everybody(way) {
                if !self.sees(way, who, page, old)? {
                    return Err(Failure::Unprepared { who, page });
                }
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
        pages(way).for_each(|page| window.store(page, new));
    }

    fn looks(&self, way: Way) -> impl Iterator<Item = (Who, usize)> {
        self.everybody(way)
            .flat_map(move |who| pages(way).map(move |page| (who, page)))
    }

    /// Whoever may hold entries of the pages.
    fn everybody(&self, way: Way) -> impl Iterator<Item = Who> + use<P, WORDS> {
        let online = self.online;
        let cpus = (0..CpuSet::<WORDS>::CAPACITY).map(|index| CpuId::new(index as u32));
        let device = !way.is_kernel() && self.probe.device().is_some();
        cpus.filter(move |&cpu| online.contains(cpu))
            .map(Who::Cpu)
            .chain(device.then_some(Who::Device))
    }

    fn sees(&self, way: Way, who: Who, page: usize, entry: Entry) -> Result<bool, Failure> {
        let look = |agent: &dyn Agent| finds(agent, page, entry, way.is_of_rights());
        match who {
            Who::Cpu(cpu) => ask(self.probe, cpu, || match self.window(way) {
                Some(window) => finds(window, page, entry, way.is_of_rights()),
                None => true,
            }),
            Who::Device => Ok(self.probe.device().is_none_or(look)),
        }
    }

    /// The same after the flush, where a CPU may have to repair a spurious fault first.
    fn sees_at_last(&self, way: Way, who: Who, page: usize) -> Result<bool, Failure> {
        let (_, new) = way.entries();
        let repairs = match way {
            Way::SpuriousFault => true,
            Way::FlushUpgrade | Way::Upgrade => self.engine.platform().repairs_spurious_faults(),
            _ => false,
        };
        let Who::Cpu(cpu) = who else {
            return self.sees(way, who, page, new);
        };
        ask(self.probe, cpu, || {
            let Some(window) = self.window(way) else {
                return Ok(true);
            };
            let finds = || finds(window, page, new, way.is_of_rights());
            if !repairs || finds() {
                return Ok(finds());
            }
            let (at, size) = (window.address(page), window.page_size());
            let fixed = self.engine.fix_spurious_fault(self.space, at, size);
            fixed.map_err(|refused| Failure::FlushRefused { way, refused })?;
            Ok(finds())
        })?
    }
}

/// The pages that a way changes.
fn pages(way: Way) -> core::ops::Range<usize> {
    0..if way.is_of_one_page() { 1 } else { PAGES }
}
