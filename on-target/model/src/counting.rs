//! Whether the library counts right.

use tlb_shootdown_model::oracle::Counts;
use tlb_shootdown_scenarios::{Cost, Flush};

/// The most that a CPU that is asked invalidates, where several changes were deferred: from the first page to the last, where those of its
/// own space are all it is asked for.
pub(crate) fn deferred_range(flush: Flush) -> Option<u32> {
    let (Flush::Gather(pages) | Flush::Reclaim(pages)) = flush else {
        return None;
    };
    let numbers = pages.iter().map(|page| page.0);
    let (first, last) = (numbers.clone().min()?, numbers.max()?);
    Some(u32::from(last - first) + 1)
}

/// Whether the library's figures are the machine's. Whoever is interrupted invalidates as much as the initiator does; where several changes
/// were `deferred`, at most that range, or nothing where it only lets go of a space that it has left.
pub(crate) fn agree(cost: &Cost, counts: &Counts, deferred: Option<u32>) -> bool {
    let by_others = counts.tlbis.checked_sub(cost.invalidations);
    let is_explained = by_others.is_some_and(|by_others| match deferred {
        Some(range) => by_others <= range * cost.ipis,
        None => by_others == cost.invalidations * cost.ipis,
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
