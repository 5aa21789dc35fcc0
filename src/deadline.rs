//! One deadline for a whole shootdown, CPUs and devices together.
//!
//! The kernel chooses the [`Patience`] once, when it makes the engine
//! ([`Shootdown::with_patience`](crate::shootdown::Shootdown::with_patience)); each shootdown starts its own deadline from it.

/// How long a shootdown may take before it counts as unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Patience {
    /// Nanoseconds, where the platform has a clock.
    pub nanoseconds: u64,
    /// Turns of the waiting loop, where it has none.
    pub turns: u64,
}

impl Patience {
    /// One second, which PCI Express grants a device for an invalidation with some room; 100 million turns without a clock.
    pub const DEFAULT: Self = Self {
        nanoseconds: 1_000_000_000,
        turns: 100_000_000,
    };
}

impl Default for Patience {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    at: Option<u64>,
    turns_left: u64,
}

impl Deadline {
    pub(crate) fn new(now: Option<u64>, patience: Patience) -> Self {
        Self {
            at: now.map(|now| now.saturating_add(patience.nanoseconds)),
            turns_left: patience.turns,
        }
    }

    /// Whether the time is up; counts a turn where there is no clock.
    pub(crate) fn has_passed(&mut self, now: Option<u64>) -> bool {
        match (self.at, now) {
            (Some(at), Some(now)) => now >= at,
            _ => {
                self.turns_left = self.turns_left.saturating_sub(1);
                self.turns_left == 0
            }
        }
    }
}
