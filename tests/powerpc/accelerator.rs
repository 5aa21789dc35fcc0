//! A secondary TLB that writes down what it is told, in the recorder's order.

use std::sync::Mutex;
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb,
};

pub(crate) struct Accelerator {
    needs: Needs,
    told: Mutex<Vec<Flush>>,
}

impl Accelerator {
    pub(crate) fn new(needs: Needs) -> &'static Self {
        Box::leak(Box::new(Self {
            needs,
            told: Mutex::default(),
        }))
    }

    /// What it was told since the last call.
    pub(crate) fn told(&self) -> Vec<Flush> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

// SAFETY: nothing but tests relies on it; it caches nothing.
unsafe impl SecondaryTlb for Accelerator {
    fn queue(&self, invalidation: &Invalidation, _: &mut Cost) -> Result<(), Full> {
        if let Invalidation::Space { flush, .. } = invalidation {
            self.told.lock().unwrap().push(*flush);
        }
        Ok(())
    }

    fn seal(&self, _: &mut Cost) -> Fence {
        Fence::new(0)
    }

    fn poll(&self, _: &mut Fence, _: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        Poll::Ready(Ok(()))
    }

    fn release(&self, _: AttachKey, _: &mut Cost) -> Result<(), Full> {
        Ok(())
    }

    fn needs(&self) -> Needs {
        self.needs
    }
}
