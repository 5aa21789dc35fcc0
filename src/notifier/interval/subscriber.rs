//! What a user of a process's memory with tables of its own implements.

use crate::address::FlushRange;
use crate::secondary::{AttachKey, SecondaryError, SecondaryTlb};
use core::task::Poll;

/// The kind of a [`Subscriber`] that walks the process's own page table: a [`SecondaryTlb`]. Flushes tell it.
pub enum SharesTables {}

/// The kind of a [`Subscriber`] that keeps tables of its own: an [`IntervalSubscriber`]. Changes of its ranges tell it.
pub enum OwnsTables {}

/// Says by which of the two ways a user of a process's memory is told of changes. A type has one kind, so one that claims
/// both does not compile.
///
/// The two have opposite duties: one may walk the page table at any time and is told after the change, the other must have let go
/// before it. Linux refuses a registration with both sets of callbacks by `-EINVAL` (`__mmu_notifier_register`, since 6.6).
///
/// Every [`SecondaryTlb`] has its kind already. Others declare theirs:
///
/// ```
/// # use core::task::Poll;
/// # use tlb_shootdown::notifier::interval::{Begun, Change, IntervalSubscriber, Mark, OwnsTables, Subscriber, WouldSleep};
/// # use tlb_shootdown::secondary::{AttachKey, SecondaryError};
/// struct Device;
///
/// impl Subscriber for Device {
///     type Kind = OwnsTables;
/// }
/// # // SAFETY: it uses no memory.
/// unsafe impl IntervalSubscriber for Device {
///     // ...
/// #   fn start(&self, _: &Change) -> Result<Begun, WouldSleep> { Ok(Begun::Done) }
/// #   fn poll(&self, _: AttachKey, _: Mark) -> Poll<Result<(), SecondaryError>> { Poll::Ready(Ok(())) }
/// }
/// ```
///
/// A secondary TLB can neither declare another kind,
///
/// ```compile_fail,E0119
/// # use core::task::Poll;
/// # use tlb_shootdown::cost::Cost;
/// # use tlb_shootdown::notifier::interval::{OwnsTables, Subscriber};
/// # use tlb_shootdown::secondary::*;
/// struct Device;
/// # // SAFETY: it walks nothing.
/// unsafe impl SecondaryTlb for Device {
///     // ...
/// #   fn queue(&self, _: &Invalidation, _: &mut Cost) -> Result<(), Full> { Ok(()) }
/// #   fn seal(&self, _: &mut Cost) -> Fence { Fence::new(0) }
/// #   fn poll(&self, _: &mut Fence, _: &mut Cost) -> Poll<Result<(), SecondaryError>> { Poll::Ready(Ok(())) }
/// #   fn release(&self, _: AttachKey, _: &mut Cost) -> Result<(), Full> { Ok(()) }
/// #   fn needs(&self) -> Needs { Needs::UPGRADES }
/// }
///
/// impl Subscriber for Device {
///     type Kind = OwnsTables;
/// }
/// ```
///
/// nor become an interval subscriber under its own:
///
/// ```compile_fail,E0271
/// # use core::task::Poll;
/// # use tlb_shootdown::cost::Cost;
/// # use tlb_shootdown::notifier::interval::{Begun, Change, IntervalSubscriber, Mark, WouldSleep};
/// # use tlb_shootdown::secondary::*;
/// struct Device;
/// # // SAFETY: it walks nothing.
/// unsafe impl SecondaryTlb for Device {
///     // ...
/// #   fn queue(&self, _: &Invalidation, _: &mut Cost) -> Result<(), Full> { Ok(()) }
/// #   fn seal(&self, _: &mut Cost) -> Fence { Fence::new(0) }
/// #   fn poll(&self, _: &mut Fence, _: &mut Cost) -> Poll<Result<(), SecondaryError>> { Poll::Ready(Ok(())) }
/// #   fn release(&self, _: AttachKey, _: &mut Cost) -> Result<(), Full> { Ok(()) }
/// #   fn needs(&self) -> Needs { Needs::UPGRADES }
/// }
///
/// # // SAFETY: it uses no memory.
/// unsafe impl IntervalSubscriber for Device {
///     // ...
/// #   fn start(&self, _: &Change) -> Result<Begun, WouldSleep> { Ok(Begun::Done) }
/// #   fn poll(&self, _: AttachKey, _: Mark) -> Poll<Result<(), SecondaryError>> { Poll::Ready(Ok(())) }
/// }
/// ```
pub trait Subscriber {
    /// [`SharesTables`] or [`OwnsTables`].
    type Kind;
}

impl<T: SecondaryTlb + ?Sized> Subscriber for T {
    type Kind = SharesTables;
}

/// Why a range is invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// Translations of the range change.
    Changed,
    /// The address space ends: nothing of it will be readable again.
    Released,
}

/// One change of translations, as an [`IntervalSubscriber`] is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Change {
    /// Which subscription, in the subscriber's terms.
    pub key: AttachKey,
    /// What changes: the whole of it, which may reach beyond the subscribed range.
    pub range: FlushRange,
    /// Why.
    pub reason: Reason,
    /// Whether the caller may sleep. Where it may not, a `start` that would have to refuses.
    pub may_sleep: bool,
}

/// A point in a subscriber's own submissions to its device. Only grows, and whoever has reached one has reached all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Mark(pub u64);

/// How far a `start` has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Begun {
    /// Nothing of the range is in use any more.
    Done,
    /// Nothing of it will be in use once this has been reached.
    Until(Mark),
}

/// Why a `start` was refused: it would have had to sleep, and the caller may not. Nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WouldSleep;

/// A user of a process's memory that keeps translations in tables of its own: a device with its own page table, a hypervisor's
/// second stage, a buffer registered with a network card.
///
/// It fills its tables by [`read_begin`](super::Intervals::read_begin) and [`read_retry`](super::Intervals::read_retry), and is
/// told before the kernel changes what it has filled in. One implementor may have many subscriptions, under different keys.
///
/// # Implementation safety
/// Memory is freed on this trait's word, so implementors promise:
/// * `start` takes the lock under which entries of the subscription are filled in, from before `read_retry` until the entry is in
///   the table, and removes under it every entry of the range.
/// * After `Ok(Begun::Done)`, or when `poll` has returned `Ready(Ok(()))` for the mark or a later one, nothing uses an entry
///   that was removed before, nor has an access under way through it.
/// * A mark is greater than those that earlier calls of `start` returned, or equal where it covers both.
///
/// # Context
/// Called from several CPUs at once, without any lock of this crate; of the kernel's locks those are held that the one who changes the
/// page table holds. No method changes page tables of the address space or waits for a reader, and none begins another invalidation
/// of it or waits for one to end. Subscribing and unsubscribing is allowed, reading answers `WouldBlock`.
pub unsafe trait IntervalSubscriber: Subscriber<Kind = OwnsTables> + Sync {
    /// Removes what it has of the range, and starts to make the device forget it, without waiting for the device: every
    /// subscriber is told before any is waited for. May sleep only where `change.may_sleep`.
    ///
    /// # Errors
    /// [`WouldSleep`].
    fn start(&self, change: &Change) -> Result<Begun, WouldSleep>;

    /// Looks whether the device has come as far as this mark. Bounded, never sleeps. Asked again after an error.
    ///
    /// # Errors
    /// [`SecondaryError`]: the device may still use what was removed.
    fn poll(&self, key: AttachKey, mark: Mark) -> Poll<Result<(), SecondaryError>>;

    /// The change has been made, or given up. Called once for each `start` that was not refused, before reads are possible again.
    /// Never sleeps.
    fn end(&self, change: &Change) {
        let _ = change;
    }
}

/// An interval subscriber that lives as long as the kernel does.
pub type StaticSubscriber = &'static dyn IntervalSubscriber;
