//! The allocator. There are more PIDs than any machine has processes, so that none is taken away before its space ends.

use super::PidSlot;
use crate::arch::bitmap::Bitmap;
use crate::arch::powerpc::config::MAX_PID_BITS;
use crate::arch::{HardwareId, IdError};
use crate::sync::{AtomicU64, Ordering, const_unless_loom, spin_loop};
use crate::ticket_lock::TicketLock;

/// Enough for every PID; loom follows each atomic, and a few show it all there is to see.
const BITMAP_WORDS: usize = if cfg!(loom) {
    1
} else {
    1 << (MAX_PID_BITS - 6)
};
const FIRST: u64 = 1;

/// Which PIDs are in use. One given back is clean everywhere.
#[derive(Debug)]
pub(in crate::arch::powerpc) struct Allocator {
    lock: TicketLock,
    used: Bitmap<BITMAP_WORDS>,
    /// Where to look for a free PID first: the one given back last is reused last.
    cursor: AtomicU64,
}

impl Allocator {
    const_unless_loom! {
        pub(in crate::arch::powerpc) const fn new() -> Self {
            Self { lock: TicketLock::new(), used: Bitmap::new(), cursor: AtomicU64::new(FIRST) }
        }
    }

    /// The PID of the space; one that is clean everywhere, where it has none. `fresh` as in [`Arch::activate`](crate::arch::Arch::activate).
    /// Called with interrupts off.
    pub(in crate::arch::powerpc) fn activate(
        &self,
        slot: &PidSlot,
        bits: u32,
        fresh: &mut dyn FnMut(),
    ) -> Result<HardwareId, IdError> {
        if let Some(id) = slot.hardware_id() {
            return Ok(id);
        }
        self.lock.with(spin_loop, || {
            if let Some(id) = slot.hardware_id() {
                return Ok(id);
            }
            let pid = self.take_free(1 << bits).ok_or(IdError::Exhausted)?;
            fresh();
            slot.give(pid);
            Ok(slot.hardware_id().unwrap_or(HardwareId(pid)))
        })
    }

    /// Takes the PID of a space that has ended back. Called with interrupts off.
    pub(in crate::arch::powerpc) fn retire(&self, slot: &PidSlot) {
        self.lock.with(spin_loop, || {
            let pid = slot.take();
            if pid != 0 {
                self.used.clear(pid);
            }
        });
    }

    /// Calls `f` with every PID in use until it says no; whether it never did. Takes no lock: a PID given meanwhile is clean, and one
    /// that is given back as well.
    pub(in crate::arch::powerpc) fn all_in_use(
        &self,
        bits: u32,
        mut f: impl FnMut(u64) -> bool,
    ) -> bool {
        (FIRST..1 << bits)
            .filter(|pid| self.used.is_set(*pid))
            .all(&mut f)
    }

    fn take_free(&self, end: u64) -> Option<u64> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        let free = self.used.first_clear(cursor, end);
        let pid = free.or_else(|| self.used.first_clear(FIRST, end))?;
        self.used.set(pid);
        let next = if pid + 1 < end { pid + 1 } else { FIRST };
        self.cursor.store(next, Ordering::Relaxed);
        Some(pid)
    }
}
