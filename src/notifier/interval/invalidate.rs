//! The first of the two phases: everybody is told to start.

use super::running::Started;
use super::span::Span;
use super::{Change, Intervals, Reason, Refused, Waiters};
use crate::address::FlushRange;
use crate::lock::RingLock;
use crate::secondary::AttachKey;

impl<L: RingLock, W: Waiters, const N: usize> Intervals<L, W, N> {
    /// Begins an invalidation: every subscriber of the range is told, so that their devices work at the same time, and nobody reads the
    /// range until the end. Then [`wait`](Started::wait) before the page table changes.
    ///
    /// Where nobody has subscribed this is one look under the lock.
    ///
    /// # Errors
    /// [`Refused`] by a subscriber that would have to sleep although the caller may, which it should not. It has been ended then.
    ///
    /// # Context
    /// Where the caller may sleep. Never from within a subscriber.
    pub fn begin(&self, range: impl Into<FlushRange>) -> Result<Started<'_, L, W, N>, Refused> {
        self.start(range.into(), Reason::Changed, true)
    }

    /// [`begin`](Self::begin) for callers that may not sleep.
    ///
    /// # Errors
    /// [`Refused`] by the first subscriber that would have to sleep. Exactly those that had begun have been told the end, and nothing may
    /// be changed. Some may have dropped what they had: that costs them time and is no harm.
    ///
    /// # Context
    /// Any but NMI, page-table locks held as long as no subscriber needs them to start. Never from within a subscriber.
    pub fn try_begin(&self, range: impl Into<FlushRange>) -> Result<Started<'_, L, W, N>, Refused> {
        self.start(range.into(), Reason::Changed, false)
    }

    /// Releases the address space: no read begins any more, nobody subscribes any more, and every subscriber is told. When the wait that
    /// follows has succeeded nobody uses memory of it through tables of his own, though no invalidation follows. Idempotent: after a
    /// failed wait release again.
    ///
    /// Subscriptions stay until they are taken off.
    ///
    /// # Errors
    /// As [`begin`](Self::begin). Reads and subscriptions are refused all the same.
    ///
    /// # Context
    /// As [`begin`](Self::begin); before the page tables are taken down.
    pub fn release(&self) -> Result<Started<'_, L, W, N>, Refused> {
        self.with(|state| state.set_released());
        self.start(FlushRange::All, Reason::Released, true)
    }

    fn start(
        &self,
        range: FlushRange,
        reason: Reason,
        may_sleep: bool,
    ) -> Result<Started<'_, L, W, N>, Refused> {
        let change = Change {
            key: AttachKey(0),
            range,
            reason,
            may_sleep,
        };
        let span = Span::of(&range);
        let concerned = self.with(|state| state.begin(span, &self.told));
        let mut started = Started::new(self, change, concerned.start);
        while started.told.end < concerned.end {
            let among = started.told.end..concerned.end;
            let Some((position, target)) = self.with(|state| state.next(among, span)) else {
                break;
            };
            let change = change.to(target);
            match target.subscriber.start(&change) {
                Ok(begun) => started.count_in(position, begun),
                // What has started ends when `started` goes.
                Err(super::WouldSleep) => return Err(Refused { key: target.key }),
            }
        }
        Ok(started)
    }
}
