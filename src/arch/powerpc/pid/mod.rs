//! PIDs: one for each address space for as long as it lives. 0 is the kernel's.

mod allocator;

pub(super) use allocator::Allocator;

use crate::arch::HardwareId;
use crate::sync::{AtomicU64, Ordering, const_unless_loom};

/// The PID of one address space, and how many nest MMUs that snoop use it.
///
/// In [`HardwareId`] coding: PID\[31:0\], that number above. 0 while the space has never run.
#[derive(Debug)]
pub struct PidSlot {
    tagged: AtomicU64,
    /// Broadcasts in a row that met no CPU running the space but their own.
    idle: AtomicU64,
}

const PID: u64 = 0xffff_ffff;
const ONE_NEST_MMU: u64 = 1 << 32;
/// In `idle`: members were asked to let go, and have not all been seen to have done so.
const ASKED: u64 = 1 << 63;
/// How many times more broadcasts pass before the same members are asked again.
const UNANSWERED: u64 = 32;

impl PidSlot {
    const_unless_loom! {
        /// An address space that has not run yet.
        pub const fn new() -> Self {
            Self { tagged: AtomicU64::new(0), idle: AtomicU64::new(0) }
        }
    }

    /// What its entries are tagged with; `None` where there are no entries.
    pub(super) fn hardware_id(&self) -> Option<HardwareId> {
        let tagged = self.tagged.load(Ordering::Acquire);
        (tagged & PID != 0).then_some(HardwareId(tagged))
    }

    /// Release: who reads the PID sees what was done before it was given.
    fn give(&self, pid: u64) {
        self.tagged.fetch_or(pid, Ordering::Release);
    }

    fn take(&self) -> u64 {
        self.tagged.fetch_and(!PID, Ordering::AcqRel) & PID
    }

    pub(super) fn add_nest_mmu(&self) {
        self.tagged.fetch_add(ONE_NEST_MMU, Ordering::SeqCst);
    }

    pub(super) fn remove_nest_mmu(&self) {
        self.tagged.fetch_sub(ONE_NEST_MMU, Ordering::SeqCst);
    }

    /// Whether somebody was asked to let go of the space. Relaxed: missed, a flush is broadcast that could have been local.
    pub(super) fn has_asked(&self) -> bool {
        self.idle.load(Ordering::Relaxed) & ASKED != 0
    }

    /// Somebody runs the space that did not.
    pub(super) fn begin_anew(&self) {
        self.idle.store(0, Ordering::Relaxed);
    }

    /// Counts a broadcast; true where it is the `patience`th in a row that met nobody else. Who has been asked and has not
    /// answered is asked again much later.
    pub(super) fn is_worth_asking(&self, idle: bool, patience: u64) -> bool {
        if !idle {
            self.begin_anew();
            return false;
        }
        let before = self.idle.load(Ordering::Relaxed);
        let asked = before & ASKED;
        let count = (before & !ASKED) + 1;
        let limit = if asked == 0 {
            patience
        } else {
            patience.saturating_mul(UNANSWERED)
        };
        let asks = count >= limit;
        let next = if asks { ASKED } else { count | asked };
        self.idle.store(next, Ordering::Relaxed);
        asks
    }
}

impl Default for PidSlot {
    fn default() -> Self {
        Self::new()
    }
}

/// What stands in PIDR: the PID alone.
pub(super) const fn plain(id: HardwareId) -> HardwareId {
    HardwareId(id.0 & PID)
}

/// Whether a nest MMU that snoops uses the space.
pub(super) const fn has_nest_mmu(id: HardwareId) -> bool {
    id.0 >= ONE_NEST_MMU
}
