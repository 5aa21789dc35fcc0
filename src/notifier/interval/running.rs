//! An invalidation that has begun: the second phase, which waits, and the end.

use super::span::Span;
use super::state::Target;
use super::{Begun, Change, Intervals, Unanswered, Waiters};
use crate::address::FlushRange;
use crate::defects::Defect;
use crate::lock::RingLock;
use core::fmt;
use core::ops::Range;
use core::task::Poll;

impl Change {
    pub(super) fn to(self, target: Target) -> Self {
        Self {
            key: target.key,
            ..self
        }
    }
}

/// An invalidation that every subscriber of the range has been told of. Some may still be using what they had: nothing may be changed yet.
///
/// Dropped, it ends without having happened. Leaked, it never ends, and readers wait for ever.
#[must_use = "nothing may be changed before it has been waited for"]
pub struct Started<'i, L: RingLock, W: Waiters, const N: usize> {
    intervals: &'i Intervals<L, W, N>,
    change: Change,
    /// Positions in the sorted table, which stands still meanwhile: those of the range between them have begun.
    pub(super) told: Range<usize>,
    /// Those before this position have answered.
    waiting: usize,
}

impl<'i, L: RingLock, W: Waiters, const N: usize> Started<'i, L, W, N> {
    pub(super) fn new(intervals: &'i Intervals<L, W, N>, change: Change, first: usize) -> Self {
        Self {
            intervals,
            change,
            told: first..first,
            waiting: first,
        }
    }

    /// The one at this position has begun.
    pub(super) fn count_in(&mut self, position: usize, begun: Begun) {
        self.told.end = position + 1;
        if let Begun::Until(mark) = begun {
            self.intervals.with(|state| state.owes(position, mark));
        }
    }

    /// Waits until no subscriber uses anything of the range. `wait` is asked after every look at one that does, and `false` ends the wait.
    ///
    /// A kernel bounds it by its clock, and serves this CPU's mailbox in it ([`poll`](crate::shootdown::Shootdown::poll)) where it
    /// waits with interrupts off. Whoever has started later with the same subscriber is waited for as well.
    ///
    /// # Errors
    /// [`NotQuiet`], with the invalidation: wait again. If it is dropped instead, nothing may be changed or freed.
    ///
    /// # Context
    /// As the `begin` before it. Locks that a subscriber needs to answer must not be held.
    pub fn wait(
        mut self,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<Quiet<'i, L, W, N>, NotQuiet<'i, L, W, N>> {
        loop {
            match self.look() {
                Ok(()) => return Ok(Quiet { started: self }),
                Err(error) if error.error.is_some() || !wait() => {
                    if Defect::ChangedAfterTimeOut.is_put_back() {
                        return Ok(Quiet { started: self });
                    }
                    return Err(NotQuiet {
                        started: self,
                        error,
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// One look at everybody who has not answered, up to the first who still has not.
    fn look(&mut self) -> Result<(), Unanswered> {
        while let Some((position, target)) = self.next(self.waiting..self.told.end) {
            if let Some(mark) = self.intervals.with(|state| state.owed(position)) {
                let unanswered = |error| Unanswered {
                    key: target.key,
                    error,
                };
                match target.subscriber.poll(target.key, mark) {
                    Poll::Pending => return Err(unanswered(None)),
                    Poll::Ready(Err(error)) => return Err(unanswered(Some(error))),
                    Poll::Ready(Ok(())) => {}
                }
                self.intervals
                    .with(|state| state.has_reached(position, mark));
            }
            self.waiting = position + 1;
            if Defect::OneSubscriberWaitedFor.is_put_back() {
                break;
            }
        }
        Ok(())
    }

    fn next(&self, among: Range<usize>) -> Option<(usize, Target)> {
        let span = Span::of(&self.change.range);
        self.intervals.with(|state| state.next(among, span))
    }
}

impl<L: RingLock, W: Waiters, const N: usize> Drop for Started<'_, L, W, N> {
    fn drop(&mut self) {
        // Everybody first: when the sequence goes on, the table may change.
        let mut left = self.told.clone();
        while let Some((position, target)) = self.next(left.clone()) {
            let tell = || target.subscriber.end(&self.change.to(target));
            if Defect::CalledUnderTheLock.is_put_back() {
                self.intervals.with(|_| tell());
            } else {
                tell();
            }
            left.start = position + 1;
        }
        let is_last = self.intervals.with(|state| state.end());
        if is_last && !Defect::ReadersNotWoken.is_put_back() {
            self.intervals.waiters.wake_all();
        }
    }
}

/// Nobody uses anything of the range through tables of his own, and nobody begins to until this is dropped: the page table may be changed.
///
/// Change it and flush it ([`Shootdown::flush`](crate::shootdown::Shootdown::flush)), then drop this. The drop tells subscribers that the change is made, and
/// tells no secondary TLB. Leaked, it never ends, and readers wait for ever.
#[must_use = "the range may be changed only while this is held"]
pub struct Quiet<'i, L: RingLock, W: Waiters, const N: usize> {
    started: Started<'i, L, W, N>,
}

impl<L: RingLock, W: Waiters, const N: usize> Quiet<'_, L, W, N> {
    /// What may be changed.
    pub fn range(&self) -> FlushRange {
        self.started.change.range
    }
}

/// A wait that ended before everybody had answered.
#[must_use = "it is still running"]
pub struct NotQuiet<'i, L: RingLock, W: Waiters, const N: usize> {
    /// Wait again, or drop it and change nothing.
    pub started: Started<'i, L, W, N>,
    /// Who has not answered.
    pub error: Unanswered,
}

impl<L: RingLock, W: Waiters, const N: usize> fmt::Debug for NotQuiet<'_, L, W, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<L: RingLock, W: Waiters, const N: usize> fmt::Debug for Started<'_, L, W, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Started").field(&self.change.range).finish()
    }
}

impl<L: RingLock, W: Waiters, const N: usize> fmt::Debug for Quiet<'_, L, W, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Quiet")
            .field(&self.started.change.range)
            .finish()
    }
}
