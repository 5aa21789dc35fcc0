//! A shootdown as a future, for kernels whose tasks are.

use super::{Held, InProgress, Ticket, Unfinished};
use crate::cost::Cost;
use crate::platform::Platform;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Poll};

/// A [`Ticket`], or the [`Flushing`](crate::batch::Flushing) of a batch, that is awaited: ready as its [`wait`](Ticket::wait) would return, a
/// passed deadline included.
///
/// It wakes its task again at once while somebody has not answered, unless the platform takes the waker
/// ([`Platform::wake_later`]); whoever awaits two may start both before. After its end it is pending for ever.
///
/// # Context
/// Polled in task or interrupt context, with interrupts on between the polls: this CPU's own mailbox is served by its IPI handler then.
/// Dropped before its end it waits, as what it was made from does.
#[must_use = "translations may still be in use until the future is ready"]
pub struct Completion<T, const WORDS: usize> {
    ticket: Option<T>,
}

impl<T, const WORDS: usize> Completion<T, WORDS> {
    pub(crate) fn of(ticket: T) -> Self {
        Self {
            ticket: Some(ticket),
        }
    }
}

impl<'e, P: Platform, const WORDS: usize, H: Held<WORDS> + Unpin> IntoFuture
    for Ticket<'e, P, WORDS, H>
{
    type Output = Result<Cost, Unfinished<Self, WORDS>>;
    type IntoFuture = Completion<Self, WORDS>;

    fn into_future(self) -> Self::IntoFuture {
        Completion::of(self)
    }
}

impl<T: InProgress<WORDS> + Unpin, const WORDS: usize> Future for Completion<T, WORDS> {
    type Output = Result<Cost, Unfinished<T, WORDS>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(ticket) = this.ticket.as_mut() else {
            return Poll::Pending;
        };
        // Before the look: an answer that comes after it wakes the task.
        let is_kept = ticket.wake_later(cx.waker());
        match ticket.poll_in_time() {
            Poll::Pending => {
                if !is_kept {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Poll::Ready(Ok(cost)) => {
                this.ticket = None;
                Poll::Ready(Ok(cost))
            }
            Poll::Ready(Err(error)) => this.ticket.take().map_or(Poll::Pending, |ticket| {
                Poll::Ready(Err(Unfinished { ticket, error }))
            }),
        }
    }
}
