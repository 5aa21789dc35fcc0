//! Whether the library counts right.

use tlb_shootdown_model::oracle::Counts;
use tlb_shootdown_scenarios::{Cost, Flush};

/// Whether a flush is one of several changes that were deferred.
pub(crate) fn is_deferred(flush: Flush) -> bool {
    matches!(flush, Flush::Gather(_) | Flush::Reclaim(_))
}

/// Whether the library's figures are the machine's. Whoever is interrupted invalidates as much as the initiator does; where several changes
/// were deferred, once for all of them, or nothing where it only lets go of a space that it has left.
pub(crate) fn agree(cost: &Cost, counts: &Counts, deferred: bool) -> bool {
    let by_others = counts.tlbis.checked_sub(cost.invalidations);
    let is_explained = by_others.is_some_and(|by_others| match deferred {
        true => by_others <= cost.ipis,
        false => by_others == cost.invalidations * cost.ipis,
    });
    cost.store_barriers == counts.store_barriers
        && is_explained
        && cost.completion_barriers == counts.completion_barriers
        && cost.ipis == counts.ipis
        && cost.commands == counts.commands
        && cost.syncs == counts.syncs
        && cost.doorbells == counts.doorbells
        && cost.queue_barriers == counts.queue_barriers
}
