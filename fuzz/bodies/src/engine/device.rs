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
    KernelTables,
}

/// What an entry says: the frame, and whether it may be written.
pub(super) type Entry = (u64, bool);

pub(super) struct State {
    pub(super) needs: Needs,
    /// Calls of `queue` and `release` that find no room, polls that find nothing, polls that find an error.
    pub(super) full: u64,
    pub(super) slow: u64,
    pub(super) errors: u64,
    open: Vec<Order>,
    sealed: Vec<(u64, Order)>,
    sequence: u64,
    /// What it holds of (space, address).
    cached: BTreeMap<(u64, u64), Entry>,
    walks: BTreeSet<u64>,
    /// How often it has read.
    pub(super) reads: u64,
    /// The oldest read by which it may hold tables of the kernel's half.
    kernel_tables: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            needs: Needs::UPGRADES,
            full: 0,
            slow: 0,
            errors: 0,
            open: Vec::new(),
            sealed: Vec::new(),
            sequence: 0,
            cached: BTreeMap::new(),
            walks: BTreeSet::new(),
            reads: 0,
            kernel_tables: None,
        }
    }
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
    pub(super) fn read(&mut self, space: u64, va: u64, table: Option<Entry>) {
        if let (true, Some(entry)) = (self.walks(space), table) {
            self.cached.entry((space, va)).or_insert(entry);
            self.reads += 1;
            self.kernel_tables.get_or_insert(self.reads);
        }
    }

    pub(super) fn holds(&self, frame: u64) -> bool {
        self.cached.values().any(|held| held.0 == frame)
    }

    pub(super) fn holds_any_of(&self, space: u64) -> bool {
        self.cached.keys().any(|held| held.0 == space)
    }

    /// Kernel tables were forgotten after so many reads.
    pub(super) fn assert_forgot_kernel_tables(&self, reads: u64) {
        let is_told = self.needs.contains(Needs::KERNEL_TABLES);
        let holds_older = self.kernel_tables.is_some_and(|oldest| oldest <= reads);
        assert!(!(is_told && holds_older), "tables that were freed");
    }

    /// A flush of the address is complete: what is held is what the table says, or fewer rights where it walks anew for more.
    pub(super) fn assert_current(&self, space: u64, va: u64, table: Option<Entry>) {
        let Some(held) = self.cached.get(&(space, va)).copied() else {
            return;
        };
        let may_lag = !self.needs.contains(Needs::UPGRADES);
        let is_less = |held: Entry, entry: Entry| held.0 == entry.0 && held.1 <= entry.1;
        assert!(
            table.is_some_and(|entry| held == entry || may_lag && is_less(held, entry)),
            "{va:#x} of {space}: the device holds {held:x?} of {table:x?}"
        );
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
        let (cached, kernel_tables) = (&mut self.cached, &mut self.kernel_tables);
        self.sealed.retain(|(sequence, order)| {
            let is_due = *sequence <= up_to;
            if is_due {
                cached.retain(|(space, va), _| !covers(order, *space, *va));
                if let Order::KernelTables = order {
                    *kernel_tables = None;
                }
            }
            !is_due
        });
    }
}

fn covers(order: &Order, space: u64, va: u64) -> bool {
    match order {
        Order::KernelTables => false,
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
        cost.commands += 1;
        self.state().submit(match invalidation {
            Invalidation::Space { key, flush } => Order::Invalidate(*key, *flush.range()),
            Invalidation::KernelTables => Order::KernelTables,
            unknown => panic!("{unknown:?}"),
        })
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
        self.state().needs
    }
}
