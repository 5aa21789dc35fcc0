//! The spaces that one CPU keeps entries of, each under an identifier of that CPU's own.
//!
//! Read and written by the owner alone, with interrupts off; plain cells would do if they could be shared.

use super::operand::Pcid;
use crate::arch::HardwareId;
use crate::defects::Defect;
use crate::space_id::SpaceId;
use crate::sync::{AtomicU32, AtomicU64, Ordering, array_of, const_unless_loom};

/// The largest number of slots. Loom's models have fewer: it follows every atomic there is.
pub(super) const MAX_SLOTS: usize = if cfg!(loom) { 2 } else { 6 };

/// The space that nobody has.
const NONE: u64 = 0;

/// The invariant of a slot: this CPU's TLB holds, under the slot's identifier, no entry of another space, and none that is older
/// than the generation.
#[derive(Debug)]
struct Slot {
    space: AtomicU64,
    generation: AtomicU64,
}

/// A slot chosen for a space that is about to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) slot: usize,
    /// Whether the entries there may be kept.
    pub(super) is_current: bool,
}

#[derive(Debug)]
pub(super) struct Slots {
    slots: [Slot; MAX_SLOTS],
    next_victim: AtomicU32,
}

impl Slots {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self {
                slots: array_of!(MAX_SLOTS, Slot {
                    space: AtomicU64::new(NONE),
                    generation: AtomicU64::new(0)
                }),
                next_victim: AtomicU32::new(0),
            }
        }
    }

    /// The slot that the space has or gets, among the first `count`. Where its entries must go, it claims to be of no
    /// generation until [`claim`](Self::claim).
    pub(super) fn choose(&self, space: SpaceId, generation: u64, count: usize) -> Choice {
        if let Some(slot) = self.find(space) {
            let is_current = self.generation(slot) >= generation;
            return Choice { slot, is_current };
        }
        let slot = self.victim(count);
        if let Some(victim) = self.slots.get(slot) {
            victim.generation.store(0, Ordering::Relaxed);
            victim.space.store(space.raw(), Ordering::Relaxed);
        }
        Choice {
            slot,
            is_current: Defect::SlotChangesHandsUnclean.is_put_back(),
        }
    }

    /// The slot's entries are of this generation now.
    pub(super) fn claim(&self, slot: usize, generation: u64) {
        if let Some(slot) = self.slots.get(slot) {
            slot.generation.store(generation, Ordering::Relaxed);
        }
    }

    /// The generation that the slot's entries are of; 0 where they are of none.
    pub(super) fn generation(&self, slot: usize) -> u64 {
        self.slots
            .get(slot)
            .map_or(0, |slot| slot.generation.load(Ordering::Relaxed))
    }

    /// The space's slot is free: whoever gets it next has its entries dropped.
    pub(super) fn free(&self, space: SpaceId) {
        if let Some(slot) = self.find(space).and_then(|slot| self.slots.get(slot)) {
            slot.space.store(NONE, Ordering::Relaxed);
        }
    }

    /// No slot but this one keeps entries.
    pub(super) fn distrust_all_but(&self, kept: Option<usize>) {
        for (index, slot) in self.slots.iter().enumerate() {
            if Some(index) != kept {
                slot.space.store(NONE, Ordering::Relaxed);
            }
        }
    }

    fn find(&self, space: SpaceId) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.space.load(Ordering::Relaxed) == space.raw())
    }

    /// A free slot, or else round robin: with so few, who was used least recently says little about who comes back.
    fn victim(&self, count: usize) -> usize {
        let is_free = |slot: &Slot| slot.space.load(Ordering::Relaxed) == NONE;
        if let Some(free) = self.slots.iter().take(count).position(is_free) {
            return free;
        }
        let victim = self.next_victim.load(Ordering::Relaxed);
        let next = (victim + 1) % count.clamp(1, MAX_SLOTS) as u32;
        self.next_victim.store(next, Ordering::Relaxed);
        victim as usize
    }
}

/// The identifier that goes with a slot. 0 is the kernel's own root.
pub(super) const fn pcid(slot: usize) -> Pcid {
    Pcid::of(HardwareId(slot as u64 + 1))
}
