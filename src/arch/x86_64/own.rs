//! What a CPU alone knows of its TLB.

use super::operand::Pcid;
use super::slots::Slots;
use crate::arch::HardwareId;
use crate::arch::shown::Loaded;
use crate::sync::{AtomicU32, AtomicU64, Ordering, const_unless_loom};

/// What the CPU itself knows. Touched by it alone, with interrupts off.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Own {
    pub(super) slots: Slots,
    /// What [`Shown`] says once the switch has ended.
    entering: AtomicU64,
    /// The slot of the space that is loaded or being loaded, where it has one.
    slot: AtomicU32,
    /// The generation that the slot's entries are of once the switch has ended; 0 where that is known already.
    claims: AtomicU64,
    /// The identifier that is loaded or being loaded.
    pcid: AtomicU32,
    /// One bit for each slot: entries of the process's own root are to be dropped when it is next loaded.
    stale_users: AtomicU32,
}

/// A switch between its two halves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) loaded: Loaded,
    pub(super) slot: Option<usize>,
    pub(super) claims: u64,
    pub(super) pcid: Pcid,
}

const NO_SLOT: u32 = u32::MAX;

impl Own {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self {
                slots: Slots::new(),
                entering: AtomicU64::new(Loaded::KERNEL.raw()),
                slot: AtomicU32::new(NO_SLOT),
                claims: AtomicU64::new(0),
                pcid: AtomicU32::new(0),
                stale_users: AtomicU32::new(0),
            }
        }
    }

    /// A switch has begun, and may yet be refused: which root is loaded is not known until the next one ends.
    pub(super) fn begin(&self) {
        self.entering
            .store(Loaded::SWITCHING.raw(), Ordering::Relaxed);
        self.claims.store(0, Ordering::Relaxed);
    }

    pub(super) fn enter(&self, entry: Entry) {
        let slot = entry.slot.map_or(NO_SLOT, |slot| slot as u32);
        self.entering.store(entry.loaded.raw(), Ordering::Relaxed);
        self.slot.store(slot, Ordering::Relaxed);
        self.claims.store(entry.claims, Ordering::Relaxed);
        self.pcid
            .store(entry.pcid.number().into(), Ordering::Relaxed);
    }

    /// A root of the kernel's own is loaded.
    pub(super) fn leave(&self) {
        self.adopt(Pcid::default());
    }

    /// No entry is left.
    pub(super) fn reset(&self) {
        self.leave();
        self.slots.distrust_all_but(None);
        self.stale_users.store(0, Ordering::Relaxed);
    }

    /// The space that is loaded goes on under an identifier that all CPUs share.
    pub(super) fn adopt(&self, pcid: Pcid) {
        self.slot.store(NO_SLOT, Ordering::Relaxed);
        self.pcid.store(pcid.number().into(), Ordering::Relaxed);
    }

    /// The root has been loaded, and with it was dropped what had to be.
    pub(super) fn entered(&self) -> Loaded {
        let claims = self.claims.load(Ordering::Relaxed);
        if let (Some(slot), true) = (self.slot(), claims != 0) {
            self.slots.claim(slot, claims);
        }
        Loaded::from_raw(self.entering.load(Ordering::Relaxed))
    }

    pub(super) fn slot(&self) -> Option<usize> {
        let slot = self.slot.load(Ordering::Relaxed);
        (slot != NO_SLOT).then_some(slot as usize)
    }

    pub(super) fn pcid(&self) -> Pcid {
        Pcid::of(HardwareId(self.pcid.load(Ordering::Relaxed).into()))
    }

    /// Entries under the user's identifier of this slot are to be dropped before it runs again.
    pub(super) fn distrust_user(&self, slot: usize) {
        let stale = self.stale_users.load(Ordering::Relaxed);
        self.stale_users.store(stale | 1 << slot, Ordering::Relaxed);
    }

    /// Whether the user's entries of this slot were to be dropped; from now on they are not.
    pub(super) fn take_stale_user(&self, slot: usize) -> bool {
        let stale = self.stale_users.load(Ordering::Relaxed);
        self.stale_users
            .store(stale & !(1 << slot), Ordering::Relaxed);
        stale & 1 << slot != 0
    }
}
