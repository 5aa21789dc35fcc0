//! One address space, as far as TLBs are concerned: what tags its entries, and who may hold any.

use crate::arch::Arch;
use crate::attachment::Slots;
use crate::cpu_set::{AtomicCpuSet, CpuId, CpuSet};
use crate::defects::Defect;
use crate::sync::{AtomicU32, AtomicU64, Ordering, order_seq_cst};

pub use crate::space_id::SpaceId;

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
    /// Odd while CPUs are being taken out of that set.
    trims: AtomicU32,
    /// Counts changes of the tables, on architectures whose CPUs compare it when they switch.
    generation: AtomicU64,
    life: AtomicU32,
    /// Batches that hold a change of this space.
    batches: AtomicU32,
    /// Gathers that are open.
    gathers: AtomicU32,
    /// Changes that were put into batches, and how many of those a flush of the whole space has covered since.
    deferred: AtomicU64,
    covered: AtomicU64,
    pub(crate) secondaries: Slots,
}

impl<A: Arch, const WORDS: usize> AddressSpace<A, WORDS> {
    pub(crate) fn new(id: SpaceId) -> Self {
        Self {
            id,
            hardware: A::Space::default(),
            cpus: AtomicCpuSet::new(),
            trims: AtomicU32::new(0),
            generation: AtomicU64::new(1),
            life: AtomicU32::new(Life::Live as u32),
            batches: AtomicU32::new(0),
            gathers: AtomicU32::new(0),
            deferred: AtomicU64::new(0),
            covered: AtomicU64::new(0),
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

    /// The CPUs that a flush has to consider. While somebody takes CPUs out, a member can be missing for a moment: then `all`.
    pub(crate) fn members(&self, all: impl FnOnce() -> CpuSet<WORDS>) -> CpuSet<WORDS> {
        let before = self.trims.load(Ordering::SeqCst);
        let cpus = self.cpus.load(Ordering::SeqCst);
        let undisturbed = before & 1 == 0 && self.trims.load(Ordering::SeqCst) == before;
        if undisturbed { cpus } else { all() }
    }

    /// Takes these CPUs out of the set, except those that are not absent any more once they have been taken out: a CPU first
    /// shows that it is about to run the space, then enters itself, so one of the two sees the other. Called with interrupts off.
    pub(crate) fn trim(&self, absent: &CpuSet<WORDS>, is_absent: impl Fn(CpuId) -> bool) {
        let before = self.trims.load(Ordering::Relaxed);
        let begin = |even| {
            self.trims
                .compare_exchange(even, even | 1, Ordering::SeqCst, Ordering::Relaxed)
        };
        if before & 1 == 1 || begin(before).is_err() {
            return;
        }
        for cpu in absent.iter() {
            self.cpus.remove(cpu, Ordering::SeqCst);
            if !is_absent(cpu) {
                self.cpus.insert(cpu, Ordering::SeqCst);
            }
        }
        self.trims.store(before.wrapping_add(2), Ordering::SeqCst);
    }

    /// The number of changes that were flushed; stays 1 where CPUs need no generation.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Raises the generation: a full barrier, between the page-table stores and the look at who may hold entries.
    pub(crate) fn raise_generation(&self) -> u64 {
        let raised = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        order_seq_cst();
        raised
    }

    /// A batch is about to hold a change of the space. False where the space ends: whoever ends it either finds the batch, or is
    /// found here.
    pub(crate) fn enter_batch(&self) -> bool {
        self.batches.fetch_add(1, Ordering::SeqCst);
        order_seq_cst();
        let enters = self.is_live();
        if !enters {
            self.leave_batch();
        }
        enters
    }

    /// The batch holds no change of the space any more: they are complete.
    pub(crate) fn leave_batch(&self) {
        self.batches.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn is_in_batches(&self) -> bool {
        order_seq_cst();
        self.batches.load(Ordering::SeqCst) != 0
    }

    /// An operation is about to take entries out of the tables. False where the space ends.
    pub(crate) fn open_gather(&self) -> bool {
        self.gathers.fetch_add(1, Ordering::SeqCst);
        order_seq_cst();
        let opens = self.is_live();
        if !opens {
            self.close_gather();
        }
        opens
    }

    /// Everything that the operation took out has been flushed.
    pub(crate) fn close_gather(&self) {
        self.gathers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether another operation than the caller's may have taken entries out and not flushed them.
    pub(crate) fn has_other_gathers(&self) -> bool {
        self.gathers.load(Ordering::SeqCst) > 1 && !Defect::OtherGathersForgotten.is_put_back()
    }

    /// Whether some operation may have taken entries out of the tables, or put such changes into a batch, that have not been flushed: an
    /// entry that is not in the table may still be in a TLB. Ask with the page-table lock held.
    pub fn is_flush_pending(&self) -> bool {
        self.is_in_batches() || self.gathers.load(Ordering::SeqCst) != 0
    }

    /// One more change is in a batch. Release: who counts it sees the store to the page table, and so do all walkers after the barrier
    /// of who counts. Called with the lock of that page table held, like [`Self::deferred`].
    pub(crate) fn defer(&self) {
        self.deferred.fetch_add(1, Ordering::Release);
    }

    /// The number of changes to cover where some batch holds one that no flush of the whole space has covered.
    pub(crate) fn deferred(&self) -> Option<u64> {
        if !self.is_in_batches() || Defect::PendingFlushForgotten.is_put_back() {
            return None;
        }
        let deferred = self.deferred.load(Ordering::Acquire);
        (self.covered.load(Ordering::Acquire) < deferred).then_some(deferred)
    }

    /// Everything of the space was flushed after so many changes had been put into batches.
    pub(crate) fn cover(&self, deferred: u64) {
        let raise = |covered: u64| (covered < deferred).then_some(deferred);
        // Where another has covered more already nothing is left to do.
        let _ = self
            .covered
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, raise);
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
