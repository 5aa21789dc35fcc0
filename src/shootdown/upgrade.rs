//! Widening the rights of a page, in the way that everybody who shares the table can bear.

use super::Shootdown;
use super::user::finish;
use crate::attachment::Purpose;
use crate::cost::Cost;
use crate::error::FlushError;
use crate::flush::Flush;
use crate::platform::Platform;
use crate::secondary::Needs;
use crate::space::AddressSpace;

/// A store that an upgrade consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum UpgradeStep {
    /// Make the entry invalid for hardware. Whoever faults on it meanwhile waits for the lock that the caller holds.
    Invalidate,
    /// Store it with its new rights.
    Widen,
}

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Whether the rights of an entry must not be widened in place now: a secondary TLB attached to the space may have it cached and
    /// cannot bear that ([`Needs::BREAKS_UPGRADES`]). False on most machines, at the price of one load.
    ///
    /// # Context
    /// Any but NMI. The answer holds for as long as nobody attaches.
    pub fn breaks_upgrades(&self, space: &AddressSpace<P::Arch, WORDS>) -> bool {
        let slots = &space.secondaries;
        if slots.summary().is_empty() {
            return false;
        }
        self.in_callback(|| {
            slots.iter().any(|(_, slot)| {
                let inside = slot.enter(Purpose::Queue);
                inside.is_some_and(|inside| inside.tlb().needs().contains(Needs::BREAKS_UPGRADES))
            })
        })
    }

    /// Widens rights (same address, same attributes) and flushes: `store` makes the page-table stores, one step at a time.
    ///
    /// Where nothing speaks against it that is [`UpgradeStep::Widen`], then [`flush_upgrade`](Self::flush_upgrade). Where a secondary TLB
    /// cannot bear a cached entry to be widened it is [`UpgradeStep::Invalidate`], a flush of CPUs and secondary TLBs, and only
    /// then [`UpgradeStep::Widen`]; what is valid again has been cached by nobody, so no second flush follows.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush). Where entries were invalidated first they are still invalid then, and `store` was not asked to
    /// widen them: upgrade again, or put the old entries back once nobody is missing.
    ///
    /// # Context
    /// As for [`start`](Self::start), with the page-table lock held throughout. A secondary TLB that has the need is attached while no
    /// upgrade of the space is under way.
    pub fn upgrade(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: Flush,
        mut store: impl FnMut(UpgradeStep),
    ) -> Result<Cost, FlushError<WORDS>> {
        if !self.breaks_upgrades(space) {
            store(UpgradeStep::Widen);
            return self.flush_upgrade(space, flush);
        }
        store(UpgradeStep::Invalidate);
        let cost = finish(self.start(space, flush)?)?;
        store(UpgradeStep::Widen);
        Ok(cost)
    }
}
