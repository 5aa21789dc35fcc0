//! A ticket as a future, for kernels whose tasks are.

use super::{Held, Ticket, Unfinished};
use crate::cost::Cost;
use crate::platform::Platform;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Poll};

/// A [`Ticket`] that is awaited: ready as its [`wait`](Ticket::wait) would return, a passed deadline included.
///
/// It wakes its task again at once while somebody has not answered, unless the platform takes the waker
/// ([`Platform::wake_later`]); whoever awaits two tickets may start both before. After its end it is pending for ever.
///
/// # Context
/// Polled in task or interrupt context, with interrupts on between the polls: this CPU's own mailbox is served by its IPI handler then.
/// Dropped before its end it is a dropped ticket, which waits.
#[must_use = "translations may still be in use until the future is ready"]
pub struct Completion<'e, P: Platform, const WORDS: usize, H: Held<WORDS> = ()> {
    ticket: Option<Ticket<'e, P, WORDS, H>>,
}

impl<'e, P: Platform, const WORDS: usize, H: Held<WORDS> + Unpin> IntoFuture
    for Ticket<'e, P, WORDS, H>
{
    type Output = Result<Cost, Unfinished<'e, P, WORDS, H>>;
    type IntoFuture = Completion<'e, P, WORDS, H>;

    fn into_future(self) -> Self::IntoFuture {
        Completion { ticket: Some(self) }
    }
}

impl<'e, P: Platform, const WORDS: usize, H: Held<WORDS> + Unpin> Future
    for Completion<'e, P, WORDS, H>
{
    type Output = Result<Cost, Unfinished<'e, P, WORDS, H>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(ticket) = this.ticket.as_mut() else {
            return Poll::Pending;
        };
        // Before the look: an answer that comes after it wakes the task.
        let is_kept = ticket.outstanding.engine.platform().wake_later(cx.waker());
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
