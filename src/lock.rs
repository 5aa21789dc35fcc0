//! The short locks of this crate. None of them is ever held while waiting for an acknowledgement, for a device, or for
//! room in a ring: each section is a bounded number of memory accesses.

use crate::platform::Platform;
use crate::sync::const_unless_loom;
pub use crate::ticket_lock::TicketLock;

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
