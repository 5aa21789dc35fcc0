//! Counters, one line of them for each CPU, summed by whoever reads them.

use crate::cost::Cost;
use crate::cpu_set::CpuId;
use crate::sync::{AtomicU64, CPUS_PER_WORD, Ordering, array_of, const_unless_loom};

/// What the engine has done since it was made: a sum over all CPUs, taken without stopping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Shootdowns that completed.
    pub completed: u64,
    /// Waits that ended without everybody's answer.
    pub timeouts: u64,
    /// Items handed to [`FrameSink::quarantine`](crate::ticket::FrameSink::quarantine).
    pub quarantined: u64,
    /// Requests of other CPUs that were served.
    pub requests_served: u64,
    /// Store barriers of completed shootdowns.
    pub store_barriers: u64,
    /// CPU invalidation instructions of completed shootdowns.
    pub invalidations: u64,
    /// Completion barriers of completed shootdowns.
    pub completion_barriers: u64,
    /// Interrupts sent by completed shootdowns.
    pub ipis: u64,
    /// IOMMU commands of completed shootdowns.
    pub commands: u64,
    /// IOMMU waits of completed shootdowns.
    pub syncs: u64,
    /// Doorbells of completed shootdowns.
    pub doorbells: u64,
    /// Escalations of completed shootdowns.
    pub escalations: u64,
}

const COUNTERS: usize = 12;

/// One CPU's counters, on lines of its own.
#[repr(align(128))]
struct Line([AtomicU64; COUNTERS]);

impl Line {
    const_unless_loom! {
        const fn new() -> Self {
            Self(array_of!(COUNTERS, AtomicU64::new(0)))
        }
    }
}

pub(crate) struct Counters<const WORDS: usize> {
    lines: [[Line; CPUS_PER_WORD]; WORDS],
}

impl<const WORDS: usize> Counters<WORDS> {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { lines: array_of!(WORDS, array_of!(CPUS_PER_WORD, Line::new())) }
        }
    }

    /// Adds to one CPU's line. Which line is a matter of speed alone: a caller that has just migrated may use its old one.
    pub(crate) fn add(&self, cpu: CpuId, stats: &Stats) {
        let Some(line) = self.lines.as_flattened().get(cpu.index()) else {
            return;
        };
        for (counter, value) in line.0.iter().zip(stats.to_array()) {
            if value != 0 {
                counter.fetch_add(value, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn sum(&self) -> Stats {
        let mut sum = [0_u64; COUNTERS];
        for line in self.lines.as_flattened() {
            for (total, counter) in sum.iter_mut().zip(&line.0) {
                *total = total.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        Stats::from_array(sum)
    }
}

impl Stats {
    pub(crate) fn of_completed(cost: &Cost) -> Self {
        Self {
            completed: 1,
            store_barriers: cost.store_barriers.into(),
            invalidations: cost.invalidations.into(),
            completion_barriers: cost.completion_barriers.into(),
            ipis: cost.ipis.into(),
            commands: cost.commands.into(),
            syncs: cost.syncs.into(),
            doorbells: cost.doorbells.into(),
            escalations: cost.escalations.into(),
            ..Self::default()
        }
    }

    fn to_array(self) -> [u64; COUNTERS] {
        [
            self.completed,
            self.timeouts,
            self.quarantined,
            self.requests_served,
            self.store_barriers,
            self.invalidations,
            self.completion_barriers,
            self.ipis,
            self.commands,
            self.syncs,
            self.doorbells,
            self.escalations,
        ]
    }

    fn from_array(counters: [u64; COUNTERS]) -> Self {
        let [completed, timeouts, quarantined, requests_served, rest @ ..] = counters;
        let [
            store_barriers,
            invalidations,
            completion_barriers,
            ipis,
            commands,
            syncs,
            doorbells,
            escalations,
        ] = rest;
        Self {
            completed,
            timeouts,
            quarantined,
            requests_served,
            store_barriers,
            invalidations,
            completion_barriers,
            ipis,
            commands,
            syncs,
            doorbells,
            escalations,
        }
    }
}

/// Spaces dropped without having been retired, while something might still have held their entries.
static SPACES_LEAKED: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// How many address spaces were dropped without [`retire`](crate::shootdown::Shootdown::retire), while a CPU or a device might
/// still have held their entries. Each is a bug of its kernel: its tables must never be reused.
pub fn spaces_leaked() -> u64 {
    SPACES_LEAKED.load(Ordering::Relaxed)
}

pub(crate) fn count_leaked_space() {
    SPACES_LEAKED.fetch_add(1, Ordering::Relaxed);
}
