//! The short locks of this crate. None of them is ever held while waiting for an acknowledgement, for a device, or for
//! room in a ring: each section is a bounded number of memory accesses.

use crate::platform::Platform;
use crate::sync::{AtomicU32, Ordering, const_unless_loom};

/// Serialises the submissions to one ring.
///
/// # Implementation safety
/// At most one closure runs at a time under one value of the type, on all CPUs together, with interrupts off on the CPU
/// that runs it; what one closure wrote is visible to the next.
///
/// # Context
/// `with` is called from task and interrupt context, never from an NMI, and never within itself on the same value.
pub unsafe trait RingLock: Sync {
    /// Runs `f` alone.
    fn with<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// A [`RingLock`] over the final binary's [`critical_section`] implementation.
///
/// On a machine with several CPUs that implementation must take a lock that all of them share, beside turning interrupts
/// off: the single-core implementations that many crates offer let two CPUs into the ring at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct CriticalSectionLock;

// SAFETY: mutual exclusion with interrupts off is the contract of `critical_section::acquire`.
unsafe impl RingLock for CriticalSectionLock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        critical_section::with(|_| f())
    }
}

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

/// The [`RingLock`] to use on SMP: a ticket lock with interrupts off, fair to every CPU.
#[derive(Debug)]
pub struct IrqTicketLock<P: Platform + 'static> {
    platform: &'static P,
    lock: TicketLock,
}

impl<P: Platform> IrqTicketLock<P> {
    const_unless_loom! {
        /// An open lock on this platform.
        pub const fn new(platform: &'static P) -> Self {
            Self { platform, lock: TicketLock::new() }
        }
    }
}

// SAFETY: `TicketLock` excludes all others with acquire and release ordering, and the guard keeps interrupts off.
unsafe impl<P: Platform> RingLock for IrqTicketLock<P> {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _irqs_off = self.platform.irq_save();
        self.lock.with(|| self.platform.relax(), f)
    }
}
