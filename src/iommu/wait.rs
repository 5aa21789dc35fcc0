//! Waits of set-up, attach and detach. The clock is the caller's: it is asked in every turn, and `false` ends the wait.

use crate::secondary::SecondaryError;
use core::task::Poll;

/// Why a wait ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    Timeout,
    Failed(SecondaryError),
}

/// Polls a fence until it is reached.
///
/// A device that does not answer is cut off, which is as complete an end of its accesses as any.
pub(crate) fn reached(
    wait: &mut dyn FnMut() -> bool,
    mut poll: impl FnMut() -> Poll<Result<(), SecondaryError>>,
) -> Result<(), Halt> {
    loop {
        match poll() {
            Poll::Ready(Ok(()) | Err(SecondaryError::DeviceTimeout { .. })) => return Ok(()),
            Poll::Ready(Err(error)) => return Err(Halt::Failed(error)),
            Poll::Pending if wait() => {}
            Poll::Pending => return Err(Halt::Timeout),
        }
    }
}
