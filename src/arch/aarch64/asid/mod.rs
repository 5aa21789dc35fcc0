//! Address-space identifiers: more address spaces than ASIDs, and no ASID used anew before every CPU has dropped its entries.

mod allocator;
#[cfg(all(test, loom))]
mod loom_tests;
mod per_cpu;

pub(super) use allocator::{Allocator, Numbers};

use crate::arch::HardwareId;
use crate::sync::{AtomicU32, AtomicU64, Ordering, const_unless_loom};

/// An ASID together with the generation it was given in: generation\[63:16\], ASID\[15:0\]; 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tagged(u64);

impl Tagged {
    const NONE: Self = Self(0);
    /// The distance between two generations, whatever the number of ASID bits, so that it may still grow at boot.
    const GENERATION: u64 = 1 << 16;

    const fn new(generation: u64, asid: u64) -> Self {
        Self(generation | asid)
    }

    const fn asid(self) -> u64 {
        self.0 & (Self::GENERATION - 1)
    }

    const fn is_of(self, generation: u64) -> bool {
        self.0 & !(Self::GENERATION - 1) == generation
    }

    pub(super) const fn hardware_id(self) -> HardwareId {
        HardwareId(self.asid())
    }
}

/// The ASID of one address space.
#[derive(Debug)]
pub struct AsidSlot {
    tagged: AtomicU64,
    /// How many devices share the ASID; written under the allocator's lock.
    pins: AtomicU32,
}

impl AsidSlot {
    const_unless_loom! {
        /// An address space that has not run yet.
        pub const fn new() -> Self {
            Self { tagged: AtomicU64::new(Tagged::NONE.0), pins: AtomicU32::new(0) }
        }
    }

    /// The ASID that its entries carry; `None` where there are no entries.
    pub(super) fn hardware_id(&self) -> Option<HardwareId> {
        let tagged = self.load(Ordering::Relaxed);
        (tagged != Tagged::NONE).then(|| tagged.hardware_id())
    }

    fn load(&self, order: Ordering) -> Tagged {
        Tagged(self.tagged.load(order))
    }

    /// Release: a CPU that runs the address space under the new ASID sees what was done before it was given.
    fn publish(&self, tagged: Tagged) {
        self.tagged.store(tagged.0, Ordering::Release);
    }

    fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Relaxed) != 0
    }
}

impl Default for AsidSlot {
    fn default() -> Self {
        Self::new()
    }
}
