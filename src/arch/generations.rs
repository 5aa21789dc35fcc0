//! A change, and which generations of a space's tables it covers.

use super::HardwareId;
use crate::flush::Flush;
use crate::space_id::SpaceId;

/// A change of one space, as the CPUs that may hold entries of it are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Change {
    /// Which space.
    pub space: SpaceId,
    /// Its identifier, where all CPUs have the same.
    pub id: HardwareId,
    /// The oldest generation of its tables that this is about: it covers all that changed from there to `generation`.
    pub since: u64,
    /// The generation that its tables have with this change; changes of other generations may be under way.
    pub generation: u64,
    /// What changed.
    pub flush: Flush,
}

impl Change {
    /// One change.
    pub fn new(space: SpaceId, id: HardwareId, generation: u64, flush: Flush) -> Self {
        Self {
            space,
            id,
            since: generation,
            generation,
            flush,
        }
    }

    /// Both of these changes of one space. Where others lie between them, it covers the generations of the newer alone.
    pub fn merge(&self, other: &Self) -> Self {
        let (older, newer) = if self.generation <= other.generation {
            (self, other)
        } else {
            (other, self)
        };
        let is_without_gap = newer.since <= older.generation.saturating_add(1);
        Self {
            since: if is_without_gap {
                older.since.min(newer.since)
            } else {
                newer.since
            },
            flush: older.flush.merge(&newer.flush),
            ..*newer
        }
    }
}
