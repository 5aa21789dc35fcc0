//! The numbers of address spaces.

/// The number of an address space: never reused, so that a late message cannot name another space by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct SpaceId(u64);

impl SpaceId {
    /// The number; never 0, and below 2^62.
    pub const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}
