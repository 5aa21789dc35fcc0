//! A spin lock for sections of a few memory accesses, for code that knows no platform.

use crate::sync::{AtomicU32, Ordering, const_unless_loom};

/// A fair spin lock that leaves interrupts alone: its users have them off already.
#[derive(Debug)]
pub struct TicketLock {
    next: AtomicU32,
    serving: AtomicU32,
}

impl TicketLock {
    const_unless_loom! {
        /// An open lock.
        pub const fn new() -> Self {
            Self { next: AtomicU32::new(0), serving: AtomicU32::new(0) }
        }
    }

    /// Runs `f` alone. Interrupts are off, or no interrupt handler takes this lock.
    pub fn with<R>(&self, relax: impl Fn(), f: impl FnOnce() -> R) -> R {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        while self.serving.load(Ordering::Acquire) != ticket {
            relax();
        }
        let opens = Opens(self, ticket);
        let result = f();
        drop(opens);
        result
    }
}

impl Default for TicketLock {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens the lock again, on a panic as well, so that a failing test reports its own failure instead of a hang.
struct Opens<'a>(&'a TicketLock, u32);

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0
            .serving
            .store(self.1.wrapping_add(1), Ordering::Release);
    }
}

/// The lock of an allocator of which three CPUs are modelled.
#[cfg(not(loom))]
pub(crate) type ModelledLock = TicketLock;

/// The same for loom, which never runs who waits for a mutex. Of three CPUs two could spin, and in its models they do so without end; the
/// spinning has a model of its own, with two.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct ModelledLock(loom::sync::Mutex<()>);

#[cfg(loom)]
impl ModelledLock {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(()))
    }

    pub(crate) fn with<R>(&self, _: impl Fn(), f: impl FnOnce() -> R) -> R {
        let _held = self.0.lock();
        f()
    }
}
