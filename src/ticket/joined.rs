//! Several tickets, one wait.

use super::{Held, Ticket};
use crate::cost::Cost;
use crate::platform::Platform;
use core::task::Poll;

/// Waits for all of these tickets at once. Each keeps its own deadline, and what it holds comes free as soon as it is complete, whatever
/// becomes of the others. The cost is that of all.
///
/// # Errors
/// The tickets, where one of them is not complete: [`unanswered`](Ticket::unanswered) has names for each, and none for those that are.
///
/// # Context
/// As for [`Ticket::wait`].
// The tickets are the point of the error: boxing them would take an allocator.
#[allow(clippy::result_large_err)]
pub fn wait_for_all<'e, P: Platform, const WORDS: usize, H: Held<WORDS>, const N: usize>(
    mut tickets: [Ticket<'e, P, WORDS, H>; N],
) -> Result<Cost, [Ticket<'e, P, WORDS, H>; N]> {
    loop {
        let mut cost = Cost::ZERO;
        let (mut is_complete, mut is_pending) = (true, false);
        for ticket in &mut tickets {
            match ticket.poll_in_time() {
                Poll::Ready(Ok(one)) => cost += one,
                Poll::Ready(Err(_)) => is_complete = false,
                Poll::Pending => is_pending = true,
            }
        }
        match (is_pending, is_complete) {
            (true, _) => {}
            (false, true) => return Ok(cost),
            (false, false) => return Err(tickets),
        }
        if let Some(first) = tickets.first() {
            first.outstanding.engine.platform().relax();
        }
    }
}
