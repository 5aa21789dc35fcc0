//! Subscribing and unsubscribing, at any time.

use super::state::Target;
use super::{Intervals, NotSubscribed, Running, StaticSubscriber, SubscribeError, Waiters};
use crate::address::FlushRange;
use crate::defects::Defect;
use crate::lock::RingLock;
use crate::secondary::AttachKey;
use crate::space::SpaceId;

/// One subscription, as [`Intervals::subscribe`] returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "needed to read and to unsubscribe"]
pub struct Subscription {
    pub(super) space: SpaceId,
    pub(super) place: usize,
    pub(super) id: u64,
}

/// When a subscription is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "its subscriber may still be called"]
pub enum Removal {
    /// It is gone: no call is under way, and none will be made.
    Done,
    /// It is told of changes until this run [has ended](Intervals::has_ended).
    AfterRun(Running),
}

impl<L: RingLock, W: Waiters, const N: usize> Intervals<L, W, N> {
    /// Subscribes to changes of a range; `key` is what the subscriber calls it. Nothing else need be attached to the address space.
    ///
    /// While an invalidation is running, the subscriber is not told of it, nor of others of the same run: it has filled nothing in,
    /// and reads only once the run has ended.
    ///
    /// # Errors
    /// [`SubscribeError`].
    ///
    /// # Context
    /// Any but NMI, from within a subscriber as well. Does not wait.
    pub fn subscribe(
        &self,
        range: impl Into<FlushRange>,
        subscriber: StaticSubscriber,
        key: AttachKey,
    ) -> Result<Subscription, SubscribeError> {
        let range = range.into();
        let target = Target { subscriber, key };
        let (place, id) = self.with(|state| {
            if state.is_released() {
                return Err(SubscribeError::Released);
            }
            state
                .insert(&range, target, &self.told)
                .ok_or(SubscribeError::Full)
        })?;
        let space = self.space;
        Ok(Subscription { space, place, id })
    }

    /// Takes a subscription off. Its reads are void at once; its subscriber may be called until the [`Removal`] is done, and
    /// keeps until then what those calls need.
    ///
    /// Tells the subscriber nothing: what it has filled in it removes itself, under its lock, after this has returned.
    ///
    /// # Errors
    /// [`NotSubscribed`].
    ///
    /// # Context
    /// Any but NMI, from within a subscriber as well. Does not wait; who waits for the removal must not be within a call to a subscriber,
    /// nor hold an invalidation, nor a lock that the end of one needs.
    pub fn unsubscribe(&self, subscription: Subscription) -> Result<Removal, NotSubscribed> {
        let Subscription { space, place, id } = subscription;
        if space != self.space {
            return Err(NotSubscribed);
        }
        self.with(|state| {
            let gone = state.remove(place, id, &self.told).ok_or(NotSubscribed)?;
            Ok(match state.run() {
                Some(run) if !gone && !Defect::UnsubscribeDoesNotWait.is_put_back() => {
                    Removal::AfterRun(Running(run))
                }
                _ => Removal::Done,
            })
        })
    }
}
