//! Interval subscriptions: users of a process's memory that keep tables of their own are told before a range changes.
//!
//! A [`SecondaryTlb`](crate::secondary::SecondaryTlb) walks the process's page table, so the flush after a change is all it needs. A device
//! with its own page table, a hypervisor's second stage, a buffer registered with a network card have copied translations somewhere else:
//! they must have let go *before* the change, and must not copy again until it is made. Both kinds stay apart
//! ([`Subscriber`]): ending an invalidation here tells no secondary TLB, and a flush tells no subscriber here. The kernel does both:
//!
//! ```text
//! change:  let quiet = intervals.begin(range)?.wait(..)?;      // nobody uses a copy, nobody makes one
//!          store to the page table; engine.flush(&space, ..)?; // CPUs and secondary TLBs
//!          drop(quiet);                                        // copies may be made again
//!
//! copy:    loop {
//!              let read = intervals.read_begin(subscription)?; // WouldBlock: park, then try again
//!              look at the page table
//!              under the subscriber's lock: if !intervals.read_retry(read) { fill in; break }
//!          }
//! ```
//!
//! The sequence protocol is that of Linux' interval notifiers (`mm/mmu_notifier.c`, since 5.5): a reader of a subscription waits
//! while an invalidation runs that it was told of, and may wait for others that run at the same time; what it has read is void when one
//! has begun since. Different from there: a subscription's number is set here and not by each subscriber, so none can forget it;
//! reading and unsubscribing never sleep; a time-out is reported.
//!
//! [`Intervals`] stands beside the [`AddressSpace`](crate::space::AddressSpace) in the kernel's structure for a process and needs
//! nothing attached to it: a process whose first user is an interval one has nothing else.

mod error;
mod invalidate;
mod read;
mod running;
mod span;
mod state;
mod subscribe;
mod subscriber;
mod table;

pub use error::{NotSubscribed, ReadError, Refused, SubscribeError, Unanswered};
pub use read::Read;
pub use running::{NotQuiet, Quiet, Started};
pub use subscribe::{Removal, Subscription};
pub use subscriber::{
    Begun, Change, IntervalSubscriber, Mark, OwnsTables, Reason, SharesTables, StaticSubscriber,
    Subscriber, WouldSleep,
};

use crate::lock::RingLock;
use crate::space::SpaceId;
use crate::sync::{AtomicU64, UnsafeCell, array_of, const_unless_loom};
use state::{State, Told};

/// Where the kernel parks those who have met [`ReadError::WouldBlock`] or [`Removal::AfterRun`].
///
/// They queue themselves, ask [`has_ended`](Intervals::has_ended) once more, and sleep; in this order no wake-up is lost. A kernel that polls
/// instead uses `()`.
pub trait Waiters: Sync {
    /// The invalidations that were running have ended: wakes everybody.
    ///
    /// # Context
    /// That of whoever ended the last one, without any lock of this crate. Never sleeps.
    fn wake_all(&self);
}

impl Waiters for () {
    fn wake_all(&self) {}
}

/// A run of invalidations that overlap in time, at least one of which concerns a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Running(u64);

/// The interval subscriptions of one address space, at most `N`.
///
/// Every method may be called from any context that may take the lock `L`: never from an NMI. The lock is held for looks at the
/// subscriptions alone, and for at most one sort of them; no subscriber is called with it, so that a subscriber may take its own lock outside or
/// inside of any call here.
pub struct Intervals<L, W, const N: usize> {
    space: SpaceId,
    waiters: W,
    told: Told<N>,
    lock: L,
    state: UnsafeCell<State<N>>,
}

// SAFETY: `state` is used under `lock` alone, which admits one at a time; what it refers to is `Sync`.
unsafe impl<L: RingLock, W: Waiters, const N: usize> Sync for Intervals<L, W, N> {}

impl<L: RingLock, W: Waiters, const N: usize> Intervals<L, W, N> {
    const_unless_loom! {
        /// No subscriptions of the address space of this number.
        pub const fn new(space: SpaceId, lock: L, waiters: W) -> Self {
            Self {
                space,
                waiters,
                told: array_of!(N, AtomicU64::new(0)),
                lock,
                state: UnsafeCell::new(State::new()),
            }
        }
    }

    /// Whether that run is over, so that reads may begin and removals are done.
    ///
    /// It goes on while invalidations overlap, however many: kernels serialise the changes of one range, and end what they have begun.
    pub fn has_ended(&self, running: Running) -> bool {
        self.with(|state| state.run() != Some(running.0))
    }

    /// Runs `f` alone. It calls nobody.
    fn with<R>(&self, f: impl FnOnce(&mut State<N>) -> R) -> R {
        self.lock.with(|| {
            self.state.with_mut(|state| {
                // SAFETY: the lock admits one at a time, and `f` has no way to come here again.
                f(unsafe { &mut *state })
            })
        })
    }
}
