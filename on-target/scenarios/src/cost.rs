//! What one invalidation cost, as a serial line carries it.

use serde::{Deserialize, Serialize};

/// Counters of one invalidation: the same as the library's, in a form that is written as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Barriers that make page-table stores visible before the first invalidation.
    pub store_barriers: u32,
    /// CPU invalidation instructions.
    pub invalidations: u32,
    /// Barriers that wait for those instructions.
    pub completion_barriers: u32,
    /// CPUs interrupted.
    pub ipis: u32,
    /// Commands written to IOMMU queues, waits not counted.
    pub commands: u32,
    /// Waits written to IOMMU queues.
    pub syncs: u32,
    /// Doorbell writes.
    pub doorbells: u32,
    /// Barriers that order queue memory before a doorbell.
    pub queue_barriers: u32,
    /// Requests widened beyond the promised bound.
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

impl From<tlb_shootdown::cost::Cost> for Cost {
    fn from(cost: tlb_shootdown::cost::Cost) -> Self {
        Self {
            store_barriers: cost.store_barriers,
            invalidations: cost.invalidations,
            completion_barriers: cost.completion_barriers,
            ipis: cost.ipis,
            commands: cost.commands,
            syncs: cost.syncs,
            doorbells: cost.doorbells,
            queue_barriers: cost.queue_barriers,
            escalations: cost.escalations,
        }
    }
}
