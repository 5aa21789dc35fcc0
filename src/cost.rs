//! What one flush issued, in countable units.

use core::ops::AddAssign;

/// The work that one shootdown caused, counted as it was issued.
///
/// Every count is of things that the machine does, so that two runs of the same operation give the same figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Cost {
    /// Barriers that make page-table stores visible before the first invalidation.
    pub store_barriers: u32,
    /// CPU invalidation instructions executed by the initiator (TLBI, tlbie, tlbiel, INVLPG, INVLPGB).
    pub invalidations: u32,
    /// Barriers that wait for those instructions (DSB, ptesync, TLBSYNC).
    pub completion_barriers: u32,
    /// CPUs interrupted.
    pub ipis: u32,
    /// Commands written to IOMMU queues, waits not counted.
    pub commands: u32,
    /// Waits written to IOMMU queues (CMD_SYNC, COMPLETION_WAIT, wait descriptors).
    pub syncs: u32,
    /// Doorbell writes.
    pub doorbells: u32,
    /// Barriers that order queue memory before a doorbell.
    pub queue_barriers: u32,
    /// Requests widened beyond the bound of promise 11, to a whole space or a whole device.
    pub escalations: u32,
}

impl Cost {
    /// Nothing issued.
    pub const ZERO: Self = Self {
        store_barriers: 0,
        invalidations: 0,
        completion_barriers: 0,
        ipis: 0,
        commands: 0,
        syncs: 0,
        doorbells: 0,
        queue_barriers: 0,
        escalations: 0,
    };
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.store_barriers = self.store_barriers.saturating_add(other.store_barriers);
        self.invalidations = self.invalidations.saturating_add(other.invalidations);
        self.completion_barriers = self
            .completion_barriers
            .saturating_add(other.completion_barriers);
        self.ipis = self.ipis.saturating_add(other.ipis);
        self.commands = self.commands.saturating_add(other.commands);
        self.syncs = self.syncs.saturating_add(other.syncs);
        self.doorbells = self.doorbells.saturating_add(other.doorbells);
        self.queue_barriers = self.queue_barriers.saturating_add(other.queue_barriers);
        self.escalations = self.escalations.saturating_add(other.escalations);
    }
}
