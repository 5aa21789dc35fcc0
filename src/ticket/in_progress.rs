//! What every shootdown that has been started has in common: somebody waits for it.

use crate::cost::Cost;
use crate::error::Incomplete;
use core::fmt;
use core::task::{Poll, Waker};

/// A shootdown that was started and is waited for: a [`Ticket`](super::Ticket), or the [`Flushing`](crate::batch::Flushing) of a batch.
///
/// To wait for several of different types, put references to them into an array of `&mut dyn InProgress<WORDS>`. Implemented in
/// this crate alone.
pub trait InProgress<const WORDS: usize>: Waiting<WORDS> {}

/// The part of [`InProgress`] that is this crate's own.
pub trait Waiting<const WORDS: usize> {
    /// One look at everybody.
    fn look(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>>;

    /// Who has not answered.
    fn missing(&self) -> Incomplete<WORDS>;

    /// Whether the deadline has passed; one turn of it where there is no clock.
    fn is_late(&mut self) -> bool;

    /// The wait ends without everybody's answer.
    fn give_up(&mut self);

    /// Between two looks of a loop.
    fn relax(&self);

    /// Whether the platform keeps the waker.
    fn wake_later(&self, waker: &Waker) -> bool;

    /// One look, ready as well once the deadline has passed.
    fn poll_in_time(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        let result = match self.look() {
            Poll::Pending if !self.is_late() => return Poll::Pending,
            Poll::Pending => Err(self.missing()),
            Poll::Ready(result) => result,
        };
        Poll::Ready(result.inspect_err(|_| self.give_up()))
    }

    /// Looks until it is ready.
    fn wait_in_time(&mut self) -> Result<Cost, Incomplete<WORDS>> {
        loop {
            if let Poll::Ready(result) = self.poll_in_time() {
                return result;
            }
            self.relax();
        }
    }
}

impl<const WORDS: usize> InProgress<WORDS> for &mut dyn InProgress<WORDS> {}

impl<const WORDS: usize> Waiting<WORDS> for &mut dyn InProgress<WORDS> {
    fn look(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        (**self).look()
    }

    fn missing(&self) -> Incomplete<WORDS> {
        (**self).missing()
    }

    fn is_late(&mut self) -> bool {
        (**self).is_late()
    }

    fn give_up(&mut self) {
        (**self).give_up();
    }

    fn relax(&self) {
        (**self).relax();
    }

    fn wake_later(&self, waker: &Waker) -> bool {
        (**self).wake_later(waker)
    }
}

/// A shootdown whose deadline passed, or that a secondary TLB answered with an error.
#[must_use = "the ticket still owns what it holds"]
pub struct Unfinished<T, const WORDS: usize> {
    /// What was waited for: poll it, [`renew`](super::Ticket::renew) and wait again, [`escalate`](super::Ticket::escalate), or drop it. A
    /// ticket that is dropped gives what it holds to quarantine; of a batch everything stays in the batch.
    pub ticket: T,
    /// Who has not answered.
    pub error: Incomplete<WORDS>,
}

impl<T, const WORDS: usize> fmt::Debug for Unfinished<T, WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfinished")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
