//! The flush of a batch while it is waited for: its ticket.

use super::gather::Gathered;
use super::reclaim::Reclaim;
use super::start::Started;
use crate::cost::Cost;
use crate::error::Incomplete;
use crate::platform::Platform;
use crate::ticket::{Completion, Held, InProgress, Unfinished, Waiting};
use core::future::IntoFuture;
use core::task::{Poll, Waker};

/// The flush of a batch or of a gather, started: the [`Ticket`](crate::ticket::Ticket) of all that was added.
///
/// The batch is lent to it until it ends. On completion the batch is empty, and what it held is released from within `wait`, `poll` or the
/// drop of this value. Until then everything stays in the batch, its memory too: a wait that failed can be made again, and so can the whole
/// flush.
///
/// Dropping it waits until its deadline; where somebody has still not answered, everything stays in the batch.
///
/// # Context
/// As for [`Ticket`](crate::ticket::Ticket): it may move between CPUs, and waiting serves this CPU's own mailbox.
#[must_use = "translations may still be in use until the flush completes"]
pub struct Flushing<'b, 'e, P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>> {
    batch: &'b mut Reclaim<'e, P, WORDS, PLACES, H>,
    /// Nothing, once everybody has answered.
    started: Option<Started<'e, P, WORDS, PLACES>>,
    /// The gather that ends with it.
    gather: Option<&'b mut Gathered<'e, P::Arch, WORDS>>,
    cost: Cost,
}

impl<'b, 'e, P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>>
    Flushing<'b, 'e, P, WORDS, PLACES, H>
{
    pub(super) fn new(
        batch: &'b mut Reclaim<'e, P, WORDS, PLACES, H>,
        started: Option<Started<'e, P, WORDS, PLACES>>,
        gather: Option<&'b mut Gathered<'e, P::Arch, WORDS>>,
    ) -> Self {
        let mut flushing = Self {
            batch,
            started,
            gather,
            cost: Cost::ZERO,
        };
        if flushing.started.is_none() {
            flushing.settle(Cost::ZERO);
        }
        flushing
    }

    /// Looks once whether everybody has answered. On completion what the batch held is released, and the cost returned: of a gather that
    /// ends, that of all its flushes.
    ///
    /// # Errors
    /// [`Incomplete`] where nobody is pending any more and a secondary TLB reported an error. It may be polled again.
    pub fn poll(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        let Some(started) = &mut self.started else {
            return Poll::Ready(Ok(self.cost));
        };
        let looked = started.poll(self.batch.records());
        let cost = started.cost();
        looked.map_ok(|()| self.settle(cost))
    }

    /// Waits until everybody has answered or the deadline passes.
    ///
    /// # Errors
    /// [`Unfinished`], with this value: everything stays in the batch and held.
    // What was lent is the point of the error: boxing it would take an allocator.
    #[allow(clippy::result_large_err)]
    pub fn wait(mut self) -> Result<Cost, Unfinished<Self, WORDS>> {
        self.wait_in_time().map_err(|error| Unfinished {
            ticket: self,
            error,
        })
    }

    /// The same for whoever would only drop what is unfinished: the batch gets everything back at once.
    pub(super) fn wait_or_leave(mut self) -> Result<Cost, Incomplete<WORDS>> {
        let result = self.wait_in_time();
        self.started = None;
        result
    }

    /// Starts a new deadline, of the engine's patience.
    pub fn renew(&mut self) {
        if let Some(started) = &mut self.started {
            started.renew();
        }
    }

    /// Presses those who have not answered, and starts a new deadline: as [`Ticket::escalate`](crate::ticket::Ticket::escalate).
    pub fn escalate(&mut self) {
        if let Some(started) = &mut self.started {
            started.escalate();
        }
    }

    /// Who has not answered yet.
    pub fn unanswered(&self) -> Incomplete<WORDS> {
        match &self.started {
            Some(started) => started.incomplete(),
            None => Incomplete::by_nobody(),
        }
    }

    /// What has been issued so far.
    pub fn cost(&self) -> Cost {
        self.started.as_ref().map_or(self.cost, Started::cost)
    }

    fn settle(&mut self, cost: Cost) -> Cost {
        self.started = None;
        let cost = self.batch.completed(cost);
        self.cost = match &mut self.gather {
            Some(gather) => gather.end(cost),
            None => cost,
        };
        self.cost
    }
}

impl<P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>> InProgress<WORDS>
    for Flushing<'_, '_, P, WORDS, PLACES, H>
{
}

impl<P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>> Waiting<WORDS>
    for Flushing<'_, '_, P, WORDS, PLACES, H>
{
    fn look(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        self.poll()
    }

    fn missing(&self) -> Incomplete<WORDS> {
        self.unanswered()
    }

    fn is_late(&mut self) -> bool {
        self.started.as_mut().is_some_and(Started::is_late)
    }

    fn give_up(&mut self) {
        if let Some(started) = &mut self.started {
            started.give_up();
        }
    }

    fn relax(&self) {
        self.batch.engine().platform().relax();
    }

    fn wake_later(&self, waker: &Waker) -> bool {
        self.batch.engine().platform().wake_later(waker)
    }
}

impl<P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>> IntoFuture
    for Flushing<'_, '_, P, WORDS, PLACES, H>
{
    type Output = Result<Cost, Unfinished<Self, WORDS>>;
    type IntoFuture = Completion<Self, WORDS>;

    fn into_future(self) -> Self::IntoFuture {
        Completion::of(self)
    }
}

impl<P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>> Drop
    for Flushing<'_, '_, P, WORDS, PLACES, H>
{
    fn drop(&mut self) {
        if self.started.is_some() {
            // Whoever has not answered: everything stays in the batch.
            let _ = self.wait_in_time();
        }
    }
}
