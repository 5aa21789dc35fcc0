//! The way of a flush where one of the [mistakes](crate::defects) is put back that take more than a condition. Without one, each of these
//! is what its name says of the right way: nothing, or the same.

use super::Shootdown;
use super::start::{Reason, Scope};
use crate::arch::{Arch, HardwareId, Issued, Reach};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::flush::Flush;
use crate::platform::Platform;
use crate::secondary::Needs;
use crate::space::AddressSpace;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Step 2, or the part of it that is the identifier, before step 1: nothing, but for those who put that mistake back.
    pub(super) fn read_too_early(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        reason: Reason,
    ) -> (Option<Scope<WORDS>>, Option<Option<HardwareId>>) {
        let whole = Defect::ScopeReadBeforeStores.is_put_back();
        let id = Defect::IdReadBeforeStores.is_put_back();
        (
            whole.then(|| self.scope_after_barrier(space, reason)),
            id.then(|| self.arch.hardware_id(&space.hardware)),
        )
    }

    /// A change's instructions where it is put into a batch: none, but for who puts that mistake back.
    pub(crate) fn issue_too_early(&self, space: &AddressSpace<P::Arch, WORDS>, flush: &Flush) {
        if !Defect::BatchIssuedWhenAdded.is_put_back() {
            return;
        }
        let _pin = self.platform.pin_cpu();
        let mut cost = Cost::ZERO;
        self.arch.store_barrier(Reach::Broadcast, &mut cost);
        if let Some(id) = self.arch.hardware_id(&space.hardware) {
            self.issue_only(&Issued::User(id, *flush), Reach::Broadcast, &mut cost);
        }
    }
}

/// Whether there are secondary TLBs to tell: all that are attached hear of every flush, whoever runs the space.
pub(super) fn tells_devices<const WORDS: usize>(scope: &Scope<WORDS>, flush: &Flush) -> bool {
    let forgets = scope.cpus.is_empty() && Defect::NobodyToldWithoutCpus.is_put_back()
        || flush.is_one_page() && Defect::PageFlushTellsNoDevice.is_put_back();
    !scope.secondaries.is_empty() && !forgets
}

pub(super) fn is_told_of_upgrades(needs: Needs) -> bool {
    needs.contains(Needs::UPGRADES) && !Defect::UpgradeNotTold.is_put_back()
}

/// What secondary TLBs are told of a flush: the same.
pub(super) fn notice(flush: Flush) -> Flush {
    if Defect::RangeUsedUpBeforeNotice.is_put_back() {
        flush.behind()
    } else {
        flush
    }
}
