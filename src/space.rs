//! One address space, as far as TLBs are concerned: what tags its entries, and who may hold any.

use crate::arch::Arch;
use crate::attachment::Slots;
use crate::cpu_set::{AtomicCpuSet, CpuSet};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The number of an address space: never reused, so that a late message cannot name another space by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct SpaceId(u64);

impl SpaceId {
    /// The number.
    pub const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// The life of a space.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Runs and is flushed.
    Live = 0,
    /// [`retire`](crate::shootdown::Shootdown::retire) is under way: no CPU may switch to it any more.
    Retiring = 1,
    /// Its identifier has been given back.
    Retired = 2,
}

/// One address space, made by [`Shootdown::new_space`](crate::shootdown::Shootdown::new_space) and ended by
/// [`Shootdown::retire`](crate::shootdown::Shootdown::retire).
///
/// It belongs beside the root table in the kernel's own structure for a process, and stays in place while it is used. A space
/// that is dropped without having been retired leaks what it has, and is counted by
/// [`spaces_leaked`](crate::stats::spaces_leaked): devices may go on walking its tables, so they must then never be reused.
pub struct AddressSpace<A: Arch, const WORDS: usize> {
    id: SpaceId,
    pub(crate) hardware: A::Space,
    /// Every CPU that ran the space since its identifier was last clean everywhere.
    pub(crate) cpus: AtomicCpuSet<WORDS>,
    /// Counts changes of the tables, on architectures whose CPUs compare it when they switch.
    generation: AtomicU64,
    life: AtomicU32,
    pub(crate) secondaries: Slots,
}

impl<A: Arch, const WORDS: usize> AddressSpace<A, WORDS> {
    pub(crate) fn new(id: SpaceId) -> Self {
        Self {
            id,
            hardware: A::Space::default(),
            cpus: AtomicCpuSet::new(),
            generation: AtomicU64::new(1),
            life: AtomicU32::new(Life::Live as u32),
            secondaries: Slots::new(),
        }
    }

    /// The number of this space.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// The architecture's identifiers of this space, for the kernel's own context switch and for pinning.
    pub fn hardware(&self) -> &A::Space {
        &self.hardware
    }

    /// The CPUs that may hold entries of this space.
    pub fn cpus(&self) -> CpuSet<WORDS> {
        self.cpus.load(Ordering::SeqCst)
    }

    /// The number of changes that were flushed; stays 1 where CPUs need no generation.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Raises the generation: a full barrier, between the page-table stores and the look at who may hold entries.
    pub(crate) fn raise_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn is_live(&self) -> bool {
        self.life.load(Ordering::Acquire) == Life::Live as u32
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.life.load(Ordering::Acquire) == Life::Retired as u32
    }

    pub(crate) fn advance(&self, from: Life, to: Life) -> bool {
        self.life
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl<A: Arch, const WORDS: usize> Drop for AddressSpace<A, WORDS> {
    fn drop(&mut self) {
        let untouched = self.cpus().is_empty() && self.secondaries.summary().is_empty();
        if !untouched && !self.is_retired() {
            crate::stats::count_leaked_space();
        }
    }
}
