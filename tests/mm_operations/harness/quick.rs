//! An IOMMU that is quick: it has done what it was told before the CPU goes on.

use core::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb,
};
use tlb_shootdown_model::Model;

/// Steps of the machine in which an IOMMU does what one call submits.
const STEPS: u32 = 64;

/// A secondary TLB whose hardware works while it is being told. A device asks again at once for what it has lost, so whatever had to come
/// before and has not is found stale.
pub(super) struct Quick {
    pub(super) inner: &'static dyn SecondaryTlb,
    pub(super) model: Model,
}

// SAFETY: every call is the driver's own. Time passes after one of them, as it may at any moment.
unsafe impl SecondaryTlb for Quick {
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        self.inner.queue(invalidation, cost)
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        let fence = self.inner.seal(cost);
        (0..STEPS).for_each(|_| self.model.step());
        fence
    }

    fn poll(&self, fence: &mut Fence, cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        self.inner.poll(fence, cost)
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        self.inner.release(key, cost)
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }
}
