//! What happened, in one order for CPUs and devices together.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tlb_shootdown::arch::Reach;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    StoreBarrier,
    ReadId,
    /// A CPU invalidation was issued.
    Issue(Reach),
    Complete(Reach),
    Ipi(Vec<usize>),
    Queue(&'static str),
    Release(&'static str),
    Seal(&'static str),
    Poll(&'static str),
}

#[derive(Default)]
pub(crate) struct Journal {
    events: Mutex<Vec<Event>>,
    closed: AtomicBool,
}

impl Journal {
    pub(crate) fn push(&self, event: Event) {
        if !self.closed.load(Ordering::Relaxed) {
            self.events.lock().unwrap().push(event);
        }
    }

    /// Nothing is written any more: under load its lock would put the CPUs in an order of its own.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}
