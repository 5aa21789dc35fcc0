//! What happened, in one order for CPUs and devices together.

use std::sync::Mutex;
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
pub(crate) struct Journal(Mutex<Vec<Event>>);

impl Journal {
    pub(crate) fn push(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
