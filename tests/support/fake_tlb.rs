//! A secondary TLB on script: an IOMMU that drops entries when its fence is reached, and not before.

use super::journal::Event;
use super::{Machine, Point};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::task::Poll;
use tlb_shootdown::address::FlushRange;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb,
};

/// How it answers polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    AtOnce,
    /// After so many polls.
    After(u32),
    Never,
    Error(SecondaryError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Invalidate(Invalidation),
    Release(AttachKey),
}

struct State {
    answer: Answer,
    /// How many calls still find no room.
    full: u32,
    open: Vec<Op>,
    /// Sealed, not carried out: sequence and operation.
    sealed: Vec<(u64, Op)>,
    sequence: u64,
    /// (key, page) to what the entry held when it was filled.
    cached: HashMap<(u64, u64), u64>,
    walks: HashSet<u64>,
    queued: Vec<Op>,
    calls: u64,
}

pub(crate) struct FakeTlb {
    name: &'static str,
    machine: &'static Machine,
    needs: Needs,
    state: Mutex<State>,
}

impl FakeTlb {
    pub(crate) fn new(
        machine: &'static Machine,
        name: &'static str,
        needs: Needs,
    ) -> &'static Self {
        Box::leak(Box::new(Self {
            name,
            machine,
            needs,
            state: Mutex::new(State {
                answer: Answer::AtOnce,
                full: 0,
                open: Vec::new(),
                sealed: Vec::new(),
                sequence: 0,
                cached: HashMap::new(),
                walks: HashSet::new(),
                queued: Vec::new(),
                calls: 0,
            }),
        }))
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// The next so many submissions find no room.
    pub(crate) fn be_full(&self, times: u32) {
        self.state.lock().unwrap().full = times;
    }

    /// The device may walk the tables of this key from now on.
    pub(crate) fn start_walks(&self, key: u64) {
        self.state.lock().unwrap().walks.insert(key);
    }

    pub(crate) fn walks(&self, key: u64) -> bool {
        self.state.lock().unwrap().walks.contains(&key)
    }

    /// What the device sees at a page. The space's number is the key.
    pub(crate) fn read(&self, key: u64, page: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap();
        if let Some(entry) = state.cached.get(&(key, page)) {
            return Some(*entry);
        }
        if !state.walks.contains(&key) {
            return None;
        }
        let entry = self.machine.table_entry(key, page)?;
        state.cached.insert((key, page), entry);
        Some(entry)
    }

    /// Everything that was queued so far.
    pub(crate) fn queued(&self) -> Vec<Op> {
        self.state.lock().unwrap().queued.clone()
    }

    /// How many times any method was called.
    pub(crate) fn calls(&self) -> u64 {
        self.state.lock().unwrap().calls
    }

    /// Whether something was queued that nobody has sealed.
    pub(crate) fn has_unsealed(&self) -> bool {
        !self.state.lock().unwrap().open.is_empty()
    }

    fn submit(&self, op: Op, cost: &mut Cost) -> Result<(), Full> {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        if state.full > 0 {
            state.full -= 1;
            return Err(Full);
        }
        if let Op::Release(key) = op {
            state.walks.remove(&key.0);
        }
        state.open.push(op);
        state.queued.push(op);
        cost.commands += 1;
        Ok(())
    }
}

impl State {
    fn carry_out(&mut self, up_to: u64) {
        let cached = &mut self.cached;
        self.sealed.retain(|(sequence, op)| {
            if *sequence > up_to {
                return true;
            }
            cached.retain(|(key, page), _| !covers(op, *key, *page));
            false
        });
    }
}

fn covers(op: &Op, key: u64, page: u64) -> bool {
    match op {
        Op::Release(released) => released.0 == key,
        Op::Invalidate(Invalidation::Space { key: of, flush }) => {
            of.0 == key
                && match flush.range() {
                    FlushRange::All => true,
                    FlushRange::Pages(pages) => pages.contains(super::page(page)),
                }
        }
        Op::Invalidate(_) => false,
    }
}

// SAFETY: nothing but tests relies on it; a fence is ready when everything sealed up to it is gone from the cache.
unsafe impl SecondaryTlb for FakeTlb {
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        self.machine.journal.push(Event::Queue(self.name));
        let result = self.submit(Op::Invalidate(*invalidation), cost);
        self.machine.pass(Point::Queue);
        result
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        self.machine.journal.push(Event::Seal(self.name));
        self.machine.pass(Point::Seal);
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        if state.open.is_empty() {
            return Fence::new(state.sequence);
        }
        state.sequence += 1;
        let sequence = state.sequence;
        let open = std::mem::take(&mut state.open);
        state
            .sealed
            .extend(open.into_iter().map(|op| (sequence, op)));
        cost.syncs += 1;
        cost.doorbells += 1;
        Fence::new(sequence)
    }

    fn poll(&self, fence: &mut Fence, _cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        self.machine.journal.push(Event::Poll(self.name));
        self.machine.pass(Point::Poll);
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        match state.answer {
            Answer::Never => Poll::Pending,
            Answer::Error(error) => Poll::Ready(Err(error)),
            Answer::After(turns) if turns > 0 => {
                state.answer = Answer::After(turns - 1);
                Poll::Pending
            }
            Answer::AtOnce | Answer::After(_) => {
                state.carry_out(fence.sequence);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        self.machine.journal.push(Event::Release(self.name));
        self.submit(Op::Release(key), cost)
    }

    fn needs(&self) -> Needs {
        self.machine.pass(Point::Needs);
        self.state.lock().unwrap().calls += 1;
        self.needs
    }
}
