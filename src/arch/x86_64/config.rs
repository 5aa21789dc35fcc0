//! What the kernel has decided about its translation tables and about flushing.

use super::slots::MAX_SLOTS;
use crate::address::{PageRange, RangeError};
use crate::arch::Half;

/// The kernel's choices. They hold for all CPUs and do not change while the engine runs.
///
/// Others are made in CR4, before a CPU comes online, and read there: identifiers are used where `PCIDE` is set, and kernel
/// mappings are taken to be global where `PGE` is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    kpti: bool,
    la57: bool,
    broadcasts: bool,
    ceiling: u64,
    slots: usize,
}

impl Config {
    /// 48-bit addresses, the kernel mapped while processes run, a full flush beyond 33 pages, six spaces remembered by each CPU,
    /// INVLPGB wherever all CPUs have it.
    pub const fn new() -> Self {
        Self {
            kpti: false,
            la57: false,
            broadcasts: true,
            ceiling: 33,
            slots: MAX_SLOTS,
        }
    }

    /// The kernel is unmapped while a process runs: the process has a root of its own, loaded with
    /// [`user_cr3_on_exit`](super::X86_64::user_cr3_on_exit), and kernel mappings are not global. INVLPGB stays unused: it would
    /// have to name two identifiers for each space.
    pub const fn kpti(mut self) -> Self {
        self.kpti = true;
        self
    }

    /// `CR4.LA57` is set on every CPU: addresses have 57 bits.
    pub const fn la57(mut self) -> Self {
        self.la57 = true;
        self
    }

    /// INVLPGB stays unused: every CPU invalidates its own entries when it is asked.
    pub const fn without_broadcasts(mut self) -> Self {
        self.broadcasts = false;
        self
    }

    /// The largest number of pages that are invalidated one by one; more of them are a full flush. The default, 33, is Linux', chosen
    /// there so that it covers nearly all ranges that occur, at about 100 ns for each.
    pub const fn ceiling(mut self, pages: u64) -> Self {
        self.ceiling = pages;
        self
    }

    /// How many spaces a CPU keeps entries of while it runs others: 1 to 6.
    pub const fn slots(mut self, count: usize) -> Self {
        self.slots = match count {
            0 => 1,
            1..=MAX_SLOTS => count,
            _ => MAX_SLOTS,
        };
        self
    }

    pub(super) const fn is_kpti(&self) -> bool {
        self.kpti
    }

    pub(super) const fn is_la57(&self) -> bool {
        self.la57
    }

    pub(super) const fn may_broadcast(&self) -> bool {
        self.broadcasts && !self.kpti
    }

    pub(super) const fn page_ceiling(&self) -> u64 {
        self.ceiling
    }

    pub(super) const fn slot_count(&self) -> usize {
        self.slots
    }

    /// Canonical addresses repeat bit 47, or bit 56 with LA57, upwards (Intel SDM Vol 1 3.3.7.1, Vol 3A 4.5.1).
    pub(super) const fn check_range(
        &self,
        half: Half,
        pages: &PageRange,
    ) -> Result<(), RangeError> {
        let shift = if self.la57 { 56 } else { 47 };
        let sign = match half {
            Half::User => 0,
            Half::Kernel => u64::MAX >> shift,
        };
        let first = pages.first().raw() >> shift;
        let last = pages.last_byte().raw() >> shift;
        if first == sign && last == sign {
            Ok(())
        } else {
            Err(RangeError::NonCanonical)
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Of a CPU's identifiers 1 to 6 are spaces'.
    #[test]
    fn a_cpu_has_one_slot_at_least_and_six_at_most() {
        for (asked, had) in [(0, 1), (1, 1), (5, 5), (6, 6), (7, 6), (usize::MAX, 6)] {
            assert_eq!(Config::new().slots(asked).slot_count(), had);
        }
    }
}
