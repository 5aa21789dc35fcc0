//! A ring lock that tells whether it is held, and waits during which it must not be.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::{Arc, Mutex, TryLockError};
use tlb_shootdown::lock::RingLock;

/// A lock that tells whether it is held.
#[derive(Clone, Default)]
pub(crate) struct Lock(Arc<Mutex<()>>);

impl Lock {
    #[track_caller]
    pub(crate) fn assert_open(&self) {
        // One that was left by a panic is open.
        let open = !matches!(self.0.try_lock(), Err(TryLockError::WouldBlock));
        assert!(open, "the ring lock is held while waiting");
    }
}

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        f()
    }
}

/// Waits for so many turns, in each of which the lock must be open.
pub(crate) fn turns(lock: &Lock, mut left: u32) -> impl FnMut() -> bool + '_ {
    move || {
        lock.assert_open();
        left = left.saturating_sub(1);
        left > 0
    }
}
