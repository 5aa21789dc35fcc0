//! What each CPU runs, and what it ran when the ASIDs last ran out.

use super::Tagged;
use crate::cpu_set::CpuId;
use crate::defects::Defect;
use crate::sync::{AtomicU64, CPUS_PER_WORD, Ordering, array_of, const_unless_loom};

/// One CPU's line: it is written at every context switch.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Line {
    active: AtomicU64,
    reserved: AtomicU64,
}

impl Line {
    const_unless_loom! {
        const fn new() -> Self {
            Self { active: AtomicU64::new(Tagged::NONE.0), reserved: AtomicU64::new(Tagged::NONE.0) }
        }
    }

    /// Installs a current ASID without the lock; false where the CPU has to take it.
    ///
    /// Relaxed suffices: a rollover swaps 0 into `active`. Either this exchange comes after the swap, sees 0 and fails, or it comes
    /// before, and the rollover reserves what it wrote. That is decided by the order of the changes of this one location.
    pub(super) fn switch(&self, to: Tagged) -> bool {
        let active = self.active.load(Ordering::Relaxed);
        active != Tagged::NONE.0
            && self
                .active
                .compare_exchange(active, to.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Installs an ASID under the lock.
    pub(super) fn install(&self, tagged: Tagged) {
        self.active.store(tagged.0, Ordering::Relaxed);
    }

    /// Moves what the CPU runs to what is reserved for it, under the lock, and returns that. A CPU that has not switched since the
    /// last rollover still runs what was reserved then.
    pub(super) fn reserve(&self) -> Tagged {
        let active = self.active.swap(Tagged::NONE.0, Ordering::Relaxed);
        if active != Tagged::NONE.0 {
            self.reserved.store(active, Ordering::Relaxed);
        }
        Tagged(self.reserved.load(Ordering::Relaxed))
    }

    /// Carries a reservation over into the next generation, under the lock; false where it is not this one.
    fn renew(&self, from: Tagged, to: Tagged) -> bool {
        let found = self.reserved.load(Ordering::Relaxed) == from.0;
        if found {
            self.reserved.store(to.0, Ordering::Relaxed);
        }
        found
    }
}

/// The lines of all CPUs.
#[derive(Debug)]
pub(super) struct PerCpu<const WORDS: usize>([[Line; CPUS_PER_WORD]; WORDS]);

impl<const WORDS: usize> PerCpu<WORDS> {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(array_of!(WORDS, array_of!(CPUS_PER_WORD, Line::new())))
        }
    }

    pub(super) fn get(&self, cpu: CpuId) -> Option<&Line> {
        self.0.as_flattened().get(cpu.index())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (CpuId, &Line)> {
        let lines = self.0.as_flattened().iter();
        (0..).map(CpuId::new).zip(lines)
    }

    /// Carries every reservation of `from` over: several CPUs may run one address space.
    pub(super) fn renew(&self, from: Tagged, to: Tagged) -> bool {
        let mut lines = self.0.as_flattened().iter();
        if Defect::OneReservationRenewed.is_put_back() {
            return lines.any(|line| line.renew(from, to));
        }
        lines.fold(false, |any, line| line.renew(from, to) | any)
    }
}
