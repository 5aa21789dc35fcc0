//! A device with a TLB of its own: it keeps what it has read until a fence is reached, and answers as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tlb_shootdown::address::{FlushRange, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb,
};

#[derive(Clone, Copy)]
enum Order {
    Invalidate(AttachKey, FlushRange),
    Release(AttachKey),
}

#[derive(Default)]
pub(super) struct State {
    /// Calls of `queue` and `release` that find no room, polls that find nothing, polls that find an error.
    pub(super) full: u64,
    pub(super) slow: u64,
    pub(super) errors: u64,
    open: Vec<Order>,
    sealed: Vec<(u64, Order)>,
    sequence: u64,
    /// (space, address) to the frame that it uses.
    cached: BTreeMap<(u64, u64), u64>,
    walks: BTreeSet<u64>,
}

impl State {
    /// It may walk the tables of this space.
    pub(super) fn start_walks(&mut self, space: u64) {
        self.walks.insert(space);
    }

    pub(super) fn walks(&self, space: u64) -> bool {
        self.walks.contains(&space)
    }

    /// Reads an address: by what it holds, else by what the table says.
    pub(super) fn read(&mut self, space: u64, va: u64, table: Option<u64>) {
        if let (true, Some(frame)) = (self.walks(space), table) {
            self.cached.entry((space, va)).or_insert(frame);
        }
    }

    pub(super) fn holds(&self, frame: u64) -> bool {
        self.cached.values().any(|held| *held == frame)
    }

    fn submit(&mut self, order: Order) -> Result<(), Full> {
        if self.full > 0 {
            self.full -= 1;
            return Err(Full);
        }
        if let Order::Release(key) = order {
            self.walks.remove(&key.0);
        }
        self.open.push(order);
        Ok(())
    }

    fn carry_out(&mut self, up_to: u64) {
        let cached = &mut self.cached;
        self.sealed.retain(|(sequence, order)| {
            let is_due = *sequence <= up_to;
            if is_due {
                cached.retain(|(space, va), _| !covers(order, *space, *va));
            }
            !is_due
        });
    }
}

fn covers(order: &Order, space: u64, va: u64) -> bool {
    match order {
        Order::Release(key) => key.0 == space,
        Order::Invalidate(key, range) => {
            let is_within = match range {
                FlushRange::All => true,
                FlushRange::Pages(pages) => pages.contains(VirtAddr::new(va)),
            };
            key.0 == space && is_within
        }
    }
}

#[derive(Default)]
pub(super) struct Device(Mutex<State>);

impl Device {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: nothing but a fuzz target relies on it; a fence is ready when everything sealed up to it is gone from the cache.
unsafe impl SecondaryTlb for Device {
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        let Invalidation::Space { key, flush } = invalidation else {
            return Ok(());
        };
        cost.commands += 1;
        self.state().submit(Order::Invalidate(*key, *flush.range()))
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        let mut state = self.state();
        let open = std::mem::take(&mut state.open);
        if !open.is_empty() {
            state.sequence += 1;
            cost.syncs += 1;
        }
        let sequence = state.sequence;
        state
            .sealed
            .extend(open.into_iter().map(|order| (sequence, order)));
        Fence::new(sequence)
    }

    fn poll(&self, fence: &mut Fence, _: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        let mut state = self.state();
        if state.slow > 0 {
            state.slow -= 1;
            return Poll::Pending;
        }
        if state.errors > 0 {
            state.errors -= 1;
            return Poll::Ready(Err(SecondaryError::DeviceTimeout { device: 7 }));
        }
        state.carry_out(fence.sequence);
        Poll::Ready(Ok(()))
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        cost.commands += 1;
        self.state().submit(Order::Release(key))
    }

    fn needs(&self) -> Needs {
        Needs::UPGRADES
    }
}
