//! Interval subscriptions: a device copies a translation while the page table changes, comes and goes.

use super::{three_cpus, two_cpus};
use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::lock::RingLock;
use crate::notifier::interval::{
    Begun, Change, IntervalSubscriber, Intervals, Mark, OwnsTables, ReadError, Removal, Subscriber,
    Subscription, WouldSleep,
};
use crate::secondary::{AttachKey, SecondaryError};
use crate::space::SpaceId;
use crate::sync::{AtomicU32, Ordering, UnsafeCell};
use core::task::Poll;
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::boxed::Box;

/// A lock that is held for a few memory accesses.
struct Short(Mutex<()>);

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Short {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self.0.lock().unwrap();
        f()
    }
}

/// A device whose table has one entry, and what a call to it uses.
struct Device {
    copied: Mutex<bool>,
    memory: UnsafeCell<u32>,
}

// SAFETY: whether its memory is used by two at once is what the tests ask loom.
unsafe impl Sync for Device {}

impl Subscriber for Device {
    type Kind = OwnsTables;
}

// SAFETY: the entry is removed under the lock under which it is filled in.
unsafe impl IntervalSubscriber for Device {
    fn start(&self, _: &Change) -> Result<Begun, WouldSleep> {
        self.memory.with(|_| ());
        *self.copied.lock().unwrap() = false;
        Ok(Begun::Done)
    }

    fn poll(&self, _: AttachKey, _: Mark) -> Poll<Result<(), SecondaryError>> {
        Poll::Ready(Ok(()))
    }

    fn end(&self, _: &Change) {
        self.memory.with(|_| ());
    }
}

struct World {
    intervals: Intervals<Short, (), 2>,
    device: &'static Device,
    /// The page table, and the frame that its entry leads to.
    mapped: AtomicU32,
    frame: UnsafeCell<u32>,
}

fn page() -> FlushRange {
    PageRange::page(VirtAddr::new(0x1000), PageSize::KIB_4).into()
}

impl World {
    fn new() -> Arc<Self> {
        // Leaked in every execution: subscribers live as long as the kernel.
        let device = Box::leak(Box::new(Device {
            copied: Mutex::new(false),
            memory: UnsafeCell::new(0),
        }));
        Arc::new(Self {
            intervals: Intervals::new(SpaceId::from_raw(1), Short(Mutex::new(())), ()),
            device,
            mapped: AtomicU32::new(1),
            frame: UnsafeCell::new(0),
        })
    }

    fn subscribe(&self) -> Subscription {
        let subscribed = self.intervals.subscribe(page(), self.device, AttachKey(1));
        subscribed.expect("two places")
    }

    /// Copies the translation, once, if it can.
    fn copy(&self, subscription: Subscription) {
        let read = match self.intervals.read_begin(subscription) {
            Ok(read) => read,
            Err(error) => return assert!(matches!(error, ReadError::WouldBlock(_))),
        };
        let mapped = self.mapped.load(Ordering::Relaxed) == 1;
        let mut copied = self.device.copied.lock().unwrap();
        if mapped && !self.intervals.read_retry(read) {
            *copied = true;
        }
    }

    /// The device uses its table. The frame behind it must not have been freed.
    fn access(&self) {
        let copied = self.device.copied.lock().unwrap();
        if *copied {
            self.frame.with(|_| ());
        }
    }

    /// Unmaps the page and frees its frame.
    fn unmap(&self) {
        let started = self.intervals.begin(page()).expect("it does not sleep");
        let quiet = started.wait(&mut || false).expect("it answers at once");
        self.mapped.store(0, Ordering::Relaxed);
        drop(quiet);
        self.frame.with_mut(|_| ());
    }
}

fn spawn(world: &Arc<World>, f: impl Fn(&World) + 'static) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || f(&world))
}

#[test]
fn loom_promise_03_what_read_retry_lets_pass_is_not_stale() {
    two_cpus(|| {
        let world = World::new();
        let subscription = world.subscribe();
        let reader = spawn(&world, move |world| {
            world.copy(subscription);
            world.access();
            world.copy(subscription);
            world.access();
        });
        world.unmap();
        reader.join().unwrap();
        world.access();
    });
}

/// Another invalidation of the range runs at the same time, and its end lets nobody in too early.
#[test]
fn loom_promise_03_two_invalidations_and_a_reader() {
    three_cpus(|| {
        let world = World::new();
        let subscription = world.subscribe();
        let reader = spawn(&world, move |world| {
            world.copy(subscription);
            world.access();
        });
        let other = spawn(&world, |world| {
            drop(world.intervals.begin(page()).expect("it does not sleep"));
        });
        world.unmap();
        reader.join().unwrap();
        other.join().unwrap();
        world.access();
    });
}

/// The newcomer is told, or waits, or sees the new page table.
#[test]
fn loom_promise_02_who_subscribes_meanwhile_copies_nothing_stale() {
    two_cpus(|| {
        let world = World::new();
        let newcomer = spawn(&world, |world| {
            let subscription = world.subscribe();
            world.copy(subscription);
            world.access();
        });
        world.unmap();
        newcomer.join().unwrap();
        world.access();
    });
}

/// Who has unsubscribed, and has seen the run end where there is one, is not called any more.
#[test]
fn loom_promise_03_no_call_is_under_way_once_a_removal_is_done() {
    two_cpus(|| {
        let world = World::new();
        let subscription = world.subscribe();
        let leaver = spawn(&world, move |world| {
            let removal = world.intervals.unsubscribe(subscription);
            let done = match removal.expect("subscribed") {
                Removal::Done => true,
                Removal::AfterRun(running) => world.intervals.has_ended(running),
            };
            if done {
                world.device.memory.with_mut(|_| ());
            }
        });
        world.unmap();
        leaver.join().unwrap();
        // Its place is free again, whichever way it went.
        let _both = (world.subscribe(), world.subscribe());
    });
}
