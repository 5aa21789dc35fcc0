//! The identifier of one address space.

use super::operand::Pcid;
use crate::arch::HardwareId;
use crate::sync::{AtomicU64, Ordering, const_unless_loom};

/// The identifier of one address space, where all CPUs use the same.
///
/// In [`HardwareId`] coding: PCID\[11:0\], 0 while each CPU has an identifier of its own for the space; bit 12 while there may be
/// CPUs that have not taken the common one yet.
#[derive(Debug)]
pub struct SpacePcid(AtomicU64);

/// Some CPUs may still run the space under identifiers of their own.
const TRANSITION: u64 = 1 << 12;
/// The space has ended: it gets no identifier any more. Not shown.
const RETIRED: u64 = 1 << 13;

impl SpacePcid {
    const_unless_loom! {
        /// An address space under each CPU's own identifier.
        pub const fn new() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    /// Acquire: who sees a CPU run the space under a common identifier and then reads here finds it.
    pub(super) fn hardware_id(&self) -> HardwareId {
        HardwareId(self.0.load(Ordering::Acquire) & !RETIRED)
    }

    /// Gives the space a common identifier; false where it has one, or has ended.
    pub(super) fn publish(&self, pcid: Pcid) -> bool {
        let shared = HardwareId::from(pcid).0 | TRANSITION;
        self.0
            .compare_exchange(0, shared, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    /// No CPU runs the space under an identifier of its own any more.
    pub(super) fn end_transition(&self) {
        self.0.fetch_and(!TRANSITION, Ordering::SeqCst);
    }

    /// The space has ended; the common identifier that it had.
    pub(super) fn retire(&self) -> Option<Pcid> {
        shared(HardwareId(self.0.swap(RETIRED, Ordering::SeqCst)))
    }
}

impl Default for SpacePcid {
    fn default() -> Self {
        Self::new()
    }
}

/// The common identifier, where there is one.
pub(super) fn shared(id: HardwareId) -> Option<Pcid> {
    let pcid = Pcid::of(id);
    (pcid.number() != 0).then_some(pcid)
}

/// Whether every CPU that runs the space uses the common identifier.
pub(super) const fn is_settled(id: HardwareId) -> bool {
    id.0 & TRANSITION == 0
}
