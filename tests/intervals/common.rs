//! Devices on script, and a lock that tells whether it is held: no subscriber is ever called with it.

use crate::support::Machine;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::task::Poll;
use tlb_shootdown::address::{FlushRange, PageRange, PageSize, VirtAddr};
use tlb_shootdown::lock::RingLock;
use tlb_shootdown::notifier::interval::{
    Begun, Change, IntervalSubscriber, Intervals, Mark, OwnsTables, Quiet, Read, ReadError,
    Running, Started, Subscriber, Subscription, Waiters, WouldSleep,
};
use tlb_shootdown::secondary::{AttachKey, SecondaryError};
use tlb_shootdown::space::SpaceId;

pub(crate) const PLACES: usize = 8;
pub(crate) type Held = Quiet<'static, Lock, Wakes, PLACES>;
pub(crate) type Begins = Started<'static, Lock, Wakes, PLACES>;

#[derive(Clone, Default)]
pub(crate) struct Lock(Arc<Mutex<()>>);

impl Lock {
    #[track_caller]
    fn assert_open(&self) {
        let open = !matches!(self.0.try_lock(), Err(TryLockError::WouldBlock));
        assert!(open, "the lock is held during a call");
    }
}

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self.0.lock().unwrap_or_else(|held| held.into_inner());
        f()
    }
}

/// Counts how often everybody was woken.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    lock: Lock,
    count: Arc<AtomicUsize>,
}

impl Waiters for Wakes {
    fn wake_all(&self) {
        self.lock.assert_open();
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Start(u64),
    /// The end of a start: a place for a hook, and never among the calls.
    Started(u64),
    Poll(u64),
    End(u64),
}

/// One address space, and the calls that its subscribers got, by key.
pub(crate) struct World {
    pub(crate) intervals: &'static Intervals<Lock, Wakes, PLACES>,
    pub(crate) calls: Mutex<Vec<Call>>,
    wakes: Wakes,
    /// Turns of whoever waits.
    pub(crate) clock: AtomicUsize,
}

impl World {
    pub(crate) fn new() -> &'static Self {
        let (machine, _) = Machine::new(1, true);
        Self::of(machine.new_space().id())
    }

    pub(crate) fn of(space: SpaceId) -> &'static Self {
        let lock = Lock::default();
        let wakes = Wakes {
            lock: lock.clone(),
            count: Arc::default(),
        };
        Box::leak(Box::new(Self {
            intervals: Box::leak(Box::new(Intervals::new(space, lock, wakes.clone()))),
            calls: Mutex::default(),
            wakes,
            clock: AtomicUsize::new(0),
        }))
    }

    /// The calls since the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.count.load(Ordering::Relaxed)
    }

    /// A device of its own, subscribed to pages `first..=last` under this key.
    pub(crate) fn subscribe(
        &'static self,
        key: u64,
        first: u64,
        last: u64,
    ) -> (&'static Device, Subscription) {
        let device = Device::new(self);
        let subscription = self
            .intervals
            .subscribe(pages(first, last), device, AttachKey(key))
            .expect("room");
        (device, subscription)
    }

    /// An invalidation of pages `first..=last` that everybody has answered.
    pub(crate) fn quiet(&self, first: u64, last: u64) -> Held {
        self.begin(first, last)
            .wait(&mut || false)
            .expect("at once")
    }

    pub(crate) fn begin(&self, first: u64, last: u64) -> Begins {
        self.intervals.begin(pages(first, last)).expect("may sleep")
    }

    pub(crate) fn read(&self, subscription: Subscription) -> Read {
        self.intervals
            .read_begin(subscription)
            .expect("nothing runs")
    }

    pub(crate) fn blocked(&self, subscription: Subscription) -> Running {
        match self.intervals.read_begin(subscription) {
            Err(ReadError::WouldBlock(running)) => running,
            other => panic!("not blocked: {other:?}"),
        }
    }
}

pub(crate) fn pages(first: u64, last: u64) -> FlushRange {
    let page = |n: u64| VirtAddr::new(n << 12);
    let pages = PageRange::inclusive(page(first), page(last), PageSize::KIB_4);
    FlushRange::Pages(pages.expect("first <= last"))
}

/// How a device comes to rest.
#[derive(Clone, Copy)]
pub(crate) enum Rest {
    AtOnce,
    /// So many turns after it was told.
    After(usize),
    Never,
    Fails(SecondaryError),
}

type Hook = Box<dyn FnOnce() + Send>;

/// A device with a table of its own.
pub(crate) struct Device {
    world: &'static World,
    state: Mutex<State>,
}

struct State {
    rest: Rest,
    sleeps: bool,
    /// When each of its marks is reached: mark `n` is the `n`-th.
    marks: Vec<usize>,
    changes: Vec<Change>,
    polled: Vec<Mark>,
    hooks: Vec<(Call, Hook)>,
    /// (key, page) to what it was mapped to.
    pub(crate) table: HashMap<(u64, u64), u64>,
}

impl Device {
    pub(crate) fn new(world: &'static World) -> &'static Self {
        Box::leak(Box::new(Self {
            world,
            state: Mutex::new(State {
                rest: Rest::AtOnce,
                sleeps: false,
                marks: Vec::new(),
                changes: Vec::new(),
                polled: Vec::new(),
                hooks: Vec::new(),
                table: HashMap::new(),
            }),
        }))
    }

    pub(crate) fn rest(&self, rest: Rest) {
        self.state.lock().unwrap().rest = rest;
    }

    /// From now on it cannot start without sleeping.
    pub(crate) fn has_to_sleep(&self) {
        self.state.lock().unwrap().sleeps = true;
    }

    /// `f` runs within the next such call.
    pub(crate) fn within(&self, call: Call, f: impl FnOnce() + Send + 'static) {
        self.state.lock().unwrap().hooks.push((call, Box::new(f)));
    }

    /// The changes it was told of.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.state.lock().unwrap().changes.clone()
    }

    /// The marks it was asked for.
    pub(crate) fn polled(&self) -> Vec<u64> {
        self.state
            .lock()
            .unwrap()
            .polled
            .iter()
            .map(|m| m.0)
            .collect()
    }

    pub(crate) fn maps(&self, key: u64, page: u64) -> Option<u64> {
        self.state.lock().unwrap().table.get(&(key, page)).copied()
    }

    /// Fills in what was read, under the device's lock; whether it was not void.
    pub(crate) fn fill(&self, read: Read, (key, page): (u64, u64), value: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        if self.world.intervals.read_retry(read) {
            return false;
        }
        state.table.insert((key, page), value);
        true
    }

    fn called(&self, call: Call) {
        self.world.wakes.lock.assert_open();
        self.world.calls.lock().unwrap().push(call);
        self.pass(call);
    }

    fn pass(&self, call: Call) {
        let hook = {
            let hooks = &mut self.state.lock().unwrap().hooks;
            let found = hooks.iter().position(|(within, _)| *within == call);
            found.map(|index| hooks.remove(index).1)
        };
        if let Some(hook) = hook {
            hook();
        }
    }
}

impl Subscriber for Device {
    type Kind = OwnsTables;
}

// SAFETY: nothing but tests relies on it; entries are removed under the lock under which they are filled in.
unsafe impl IntervalSubscriber for Device {
    fn start(&self, change: &Change) -> Result<Begun, WouldSleep> {
        self.called(Call::Start(change.key.0));
        let mut state = self.state.lock().unwrap();
        if state.sleeps && !change.may_sleep {
            return Err(WouldSleep);
        }
        state.changes.push(*change);
        let kept = |key: u64, page: u64| match &change.range {
            FlushRange::All => key != change.key.0,
            FlushRange::Pages(pages) => {
                key != change.key.0 || !pages.contains(VirtAddr::new(page << 12))
            }
        };
        state.table.retain(|(key, page), _| kept(*key, *page));
        let now = self.world.clock.load(Ordering::Relaxed);
        let at = match state.rest {
            Rest::AtOnce => return Ok(Begun::Done),
            Rest::After(turns) => now + turns,
            Rest::Never | Rest::Fails(_) => usize::MAX,
        };
        state.marks.push(at);
        let mark = Mark(state.marks.len() as u64);
        drop(state);
        self.pass(Call::Started(change.key.0));
        Ok(Begun::Until(mark))
    }

    fn poll(&self, key: AttachKey, mark: Mark) -> Poll<Result<(), SecondaryError>> {
        self.called(Call::Poll(key.0));
        let mut state = self.state.lock().unwrap();
        state.polled.push(mark);
        if let Rest::Fails(error) = state.rest {
            return Poll::Ready(Err(error));
        }
        let now = self.world.clock.load(Ordering::Relaxed);
        let reached = state.marks[..mark.0 as usize].iter().all(|at| *at <= now);
        if reached {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn end(&self, change: &Change) {
        self.called(Call::End(change.key.0));
    }
}
