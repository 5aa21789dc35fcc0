//! Several shootdowns, one wait.

use super::InProgress;
use crate::cost::Cost;
use core::task::Poll;

/// Waits for all of these at once: [tickets](super::Ticket), [flushes of batches](crate::batch::Flushing), or references to some of either.
/// Each keeps its own deadline, and what it holds comes free as soon as it is complete, whatever becomes of the others. The cost is that
/// of all.
///
/// # Errors
/// The same again, where one of them is not complete: [`unanswered`](super::Ticket::unanswered) has names for each, and none for those that
/// are.
///
/// # Context
/// As for [`Ticket::wait`](super::Ticket::wait).
pub fn wait_for_all<T: InProgress<WORDS>, const WORDS: usize, const N: usize>(
    mut all: [T; N],
) -> Result<Cost, [T; N]> {
    loop {
        let mut cost = Cost::ZERO;
        let (mut is_complete, mut is_pending) = (true, false);
        for one in &mut all {
            match one.poll_in_time() {
                Poll::Ready(Ok(one)) => cost += one,
                Poll::Ready(Err(_)) => is_complete = false,
                Poll::Pending => is_pending = true,
            }
        }
        match (is_pending, is_complete) {
            (true, _) => {}
            (false, true) => return Ok(cost),
            (false, false) => return Err(all),
        }
        if let Some(first) = all.first() {
            first.relax();
        }
    }
}
