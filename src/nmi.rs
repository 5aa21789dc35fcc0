//! Answers by non-maskable interrupt: a last resort towards CPUs that leave the shootdown interrupt unserved.
//!
//! The handler may have interrupted anything, the serving of a mailbox included. So it touches no mailbox: it reads the number of
//! the latest round, drops everything that its CPU holds, and records that number. Whoever asked in that round or before made its
//! page-table stores before.

use crate::cpu_set::CpuId;
use crate::sync::{AtomicU64, CPUS_PER_WORD, Ordering, array_of, const_unless_loom};

/// What one CPU has done, on a line of its own.
#[repr(align(64))]
struct Done(AtomicU64);

/// The rounds asked for, and the latest one that each CPU has answered.
pub(crate) struct Rounds<const WORDS: usize> {
    asked: AtomicU64,
    done: [[Done; CPUS_PER_WORD]; WORDS],
}

impl<const WORDS: usize> Rounds<WORDS> {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self {
                asked: AtomicU64::new(0),
                done: array_of!(WORDS, array_of!(CPUS_PER_WORD, Done(AtomicU64::new(0)))),
            }
        }
    }

    /// A new round. What the caller stored before is seen by whoever answers it.
    pub(crate) fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Answers for this CPU what has been asked until now, where `flush` has dropped everything.
    pub(crate) fn answer(&self, me: CpuId, flush: impl FnOnce() -> bool) {
        let asked = self.asked.load(Ordering::Acquire);
        if flush()
            && let Some(done) = self.done(me)
        {
            done.store(asked, Ordering::Release);
        }
    }

    /// Whether the CPU has answered this round or a later one.
    pub(crate) fn has_answered(&self, round: u64, cpu: CpuId) -> bool {
        self.done(cpu)
            .is_some_and(|done| done.load(Ordering::Acquire) >= round)
    }

    fn done(&self, cpu: CpuId) -> Option<&AtomicU64> {
        self.done
            .as_flattened()
            .get(cpu.index())
            .map(|done| &done.0)
    }
}
