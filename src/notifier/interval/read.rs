//! Looking at the page table while it may change: begin, look, check.

use super::{Intervals, ReadError, Running, Subscription, Waiters};
use crate::defects::Defect;
use crate::lock::RingLock;
use crate::space::SpaceId;
use crate::sync::Ordering;

/// A look at the page table that has begun, and that an invalidation makes void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "nothing may be used before `read_retry` has been asked"]
pub struct Read {
    space: SpaceId,
    place: usize,
    number: u64,
}

impl<L: RingLock, W: Waiters, const N: usize> Intervals<L, W, N> {
    /// Begins to look at the page table within the range of a subscription.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] while an invalidation runs that concerns the subscription. There is no loop in here, so the caller decides
    /// how long it tries altogether.
    ///
    /// # Context
    /// Any but NMI. Does not wait. The caller has yet to take the lock under which it will fill in, or may hold it: the order is free.
    pub fn read_begin(&self, subscription: Subscription) -> Result<Read, ReadError> {
        let Subscription { space, place, id } = subscription;
        if space != self.space {
            return Err(ReadError::NotSubscribed);
        }
        self.with(|state| {
            let number = state
                .number(place, id, &self.told)
                .ok_or(ReadError::NotSubscribed)?;
            if state.is_released() && !Defect::ReadAfterRelease.is_put_back() {
                return Err(ReadError::Released);
            }
            match state.run() {
                Some(run) if run == number => Err(ReadError::WouldBlock(Running(run))),
                _ => Ok(Read {
                    space,
                    place,
                    number,
                }),
            }
        })
    }

    /// Whether what was seen since [`read_begin`](Self::read_begin) is void: an invalidation of it has begun, or the subscription
    /// has been taken off. If not, it may be filled in, before the subscriber's lock is let go.
    ///
    /// # Context
    /// Under the lock that the subscriber's `start` takes; an answer without it means nothing. One load.
    pub fn read_retry(&self, read: Read) -> bool {
        let told = self.told.get(read.place);
        // Relaxed: `start` takes the same lock after the number was stored. Whoever comes before it fills in what it will remove.
        let number = told.map(|told| told.load(Ordering::Relaxed));
        let is_void = number != Some(read.number) && !Defect::CollisionForgotten.is_put_back();
        read.space != self.space || is_void
    }
}
