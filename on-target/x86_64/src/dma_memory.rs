//! Memory that is given to an IOMMU's driver.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::DmaRegion;

use crate::layout::phys_of;

/// Memory for a table or a queue: aligned to as much as any of them needs.
#[repr(C, align(16384))]
pub(crate) struct Aligned<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: given away whole, once, to the driver.
unsafe impl<const BYTES: usize> Sync for Aligned<BYTES> {}

impl<const BYTES: usize> Aligned<BYTES> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new([0; BYTES]))
    }

    /// # Safety
    /// Called once.
    pub(crate) unsafe fn give_away(&'static self) -> DmaRegion {
        let start = NonNull::from(&self.0).cast();
        let phys = PhysAddr::new(phys_of(self.0.get()));
        // SAFETY: static and contiguous; the caller gives it away once; QEMU's IOMMUs are coherent.
        unsafe { DmaRegion::new(start, phys, BYTES) }
    }
}
