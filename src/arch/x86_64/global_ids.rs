//! Identifiers that are the same on every CPU, for spaces that are flushed by broadcast.

use super::operand::Pcid;
use crate::arch::bitmap::Bitmap;
use crate::sync::{AtomicU64, Ordering, const_unless_loom, spin_loop};
use crate::ticket_lock::TicketLock;

/// One bit for each PCID; loom follows each atomic, and a few show it all there is to see.
const WORDS: usize = if cfg!(loom) { 1 } else { 64 };

/// The PCIDs above those that every CPU gives out for itself.
///
/// What is taken stays taken until the space that has it is retired. A released identifier is the last to be taken again, so
/// that a mistake in a flush has as little chance as there can be.
///
/// # Context
/// Interrupts off: no interrupt handler may find the lock taken by the code under it.
#[derive(Debug)]
pub(super) struct GlobalIds {
    lock: TicketLock,
    used: Bitmap<WORDS>,
    first: u64,
    /// Where to look for a free one first.
    cursor: AtomicU64,
}

impl GlobalIds {
    const END: u64 = if cfg!(loom) { 64 } else { Pcid::MAX as u64 + 1 };

    const_unless_loom! {
        /// All PCIDs from `first` on, free and clean.
        pub(super) const fn new(first: Pcid) -> Self {
            let first = first.number() as u64;
            Self {
                lock: TicketLock::new(),
                used: Bitmap::new(),
                first,
                cursor: AtomicU64::new(first),
            }
        }
    }

    /// An identifier that nobody uses and no TLB holds entries of. `None` where all are taken: the space then stays with the
    /// identifiers that each CPU gives it.
    pub(super) fn allocate(&self) -> Option<Pcid> {
        self.lock.with(spin_loop, || {
            let cursor = self.cursor.load(Ordering::Relaxed);
            let number = self
                .used
                .first_clear(cursor, Self::END)
                .or_else(|| self.used.first_clear(self.first, cursor))?;
            let pcid = Pcid::new(u16::try_from(number).ok()?)?;
            self.used.set(number);
            self.cursor.store(number + 1, Ordering::Relaxed);
            Some(pcid)
        })
    }

    /// Gives an identifier back. Everything tagged with it has been flushed on every CPU, and no CPU has it loaded.
    pub(super) fn release(&self, pcid: Pcid) {
        self.lock
            .with(spin_loop, || self.used.clear(pcid.number().into()));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn first(number: u16) -> GlobalIds {
        GlobalIds::new(Pcid::new(number).expect("12 bits"))
    }

    #[test]
    fn promise_07_every_global_id_is_given_once() {
        let ids = first(7);
        let given: BTreeSet<_> = core::iter::from_fn(|| ids.allocate()).collect();
        assert_eq!(given.len(), 4096 - 7);
        assert_eq!(given.first().map(|id| id.number()), Some(7));
        assert_eq!(given.last().map(|id| id.number()), Some(4095));
        assert_eq!(ids.allocate(), None);
    }

    #[test]
    fn promise_07_a_released_global_id_is_taken_last() {
        let ids = first(4090);
        let one = ids.allocate().expect("six are free");
        ids.release(one);
        let next: Vec<_> = core::iter::from_fn(|| ids.allocate()).collect();
        let numbers: Vec<_> = next.iter().map(|id| id.number()).collect();
        assert_eq!(numbers, [4091, 4092, 4093, 4094, 4095, 4090]);
    }

    #[test]
    fn promise_07_a_global_id_in_use_is_not_given_again() {
        let ids = first(4093);
        let [a, b, c] = core::array::from_fn(|_| ids.allocate().expect("three are free"));
        ids.release(b);
        assert_eq!(ids.allocate(), Some(b));
        ids.release(a);
        assert_eq!(ids.allocate(), Some(a));
        assert_eq!((ids.allocate(), c.number()), (None, 4095));
    }
}
