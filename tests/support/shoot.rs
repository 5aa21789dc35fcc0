//! One shootdown of a secondary TLB as the engine runs it: nobody else is needed for its progress.

use crate::until::until;
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::{Full, Invalidation, SecondaryError, SecondaryTlb};

pub(crate) fn shoot(
    tlb: &impl SecondaryTlb,
    invalidation: &Invalidation,
) -> Result<(), SecondaryError> {
    let mut cost = Cost::ZERO;
    until(|| {
        let queued = tlb.queue(invalidation, &mut cost);
        if queued == Err(Full) {
            let mut open = tlb.seal(&mut cost);
            let _ = tlb.poll(&mut open, &mut cost);
        }
        queued.ok()
    });
    let mut fence = tlb.seal(&mut cost);
    until(|| match tlb.poll(&mut fence, &mut cost) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    })
}
