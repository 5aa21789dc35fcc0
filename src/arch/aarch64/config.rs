//! What the kernel has decided about its translation tables.

use super::granule::{Granule, Tables};
use super::range::RangePolicy;
use crate::address::{PageRange, RangeError};
use crate::arch::Half;

/// How many bits of a virtual address are translated, in either half (64 - `TCR_EL1.T0SZ` and `T1SZ`, rounded up to one
/// of these).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum VaBits {
    /// Up to 48 bits.
    #[default]
    Bits48,
    /// Up to 52 bits: FEAT_LVA with 64 KiB pages, FEAT_LPA2 with smaller ones.
    Bits52,
}

/// The kernel's choices. They hold for all CPUs and do not change while the engine runs.
///
/// One of them has no method: `TTBR0_EL1.CnP` stays 0. Where one CPU alone has run a process its flushes are local, a rollover
/// flushes each CPU for itself, and an identifier is free once the CPUs that ran it have flushed it. CnP lets CPUs use entries
/// that others fetched, and a local TLBI is not known to reach those (Arm ARM D24.2, TTBR0_EL1.CnP).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    granule: Granule,
    va_bits: VaBits,
    lpa2: bool,
    kpti: bool,
    wide_asids: bool,
    policy: RangePolicy,
}

impl Config {
    /// 48-bit addresses in both halves, no LPA2, 8-bit ASIDs, the kernel mapped while processes run, exact ranges.
    pub const fn new(granule: Granule) -> Self {
        Self {
            granule,
            va_bits: VaBits::Bits48,
            lpa2: false,
            kpti: false,
            wide_asids: false,
            policy: RangePolicy::Exact,
        }
    }

    /// Sets the address size. 52 bits of 4 KiB or 16 KiB pages imply [`lpa2`](Self::lpa2).
    pub const fn va_bits(mut self, bits: VaBits) -> Self {
        self.va_bits = bits;
        self
    }

    /// `TCR_EL1.DS` is set. Without effect for 64 KiB pages, which FEAT_LPA2 leaves as they are.
    pub const fn lpa2(mut self) -> Self {
        self.lpa2 = true;
        self
    }

    /// The kernel is unmapped while a process runs, under the odd one of two ASIDs
    /// ([`odd_asid`](super::odd_asid)).
    pub const fn kpti(mut self) -> Self {
        self.kpti = true;
        self
    }

    /// ASIDs of 16 bits are used where all CPUs have them: the kernel promises to set `TCR_EL1.AS` where
    /// [`Aarch64::asid_bits`](super::Aarch64::asid_bits) says 16. Without that bit the upper half of an ASID is cut off, and
    /// two address spaces share their entries.
    pub const fn wide_asids(mut self) -> Self {
        self.wide_asids = true;
        self
    }

    /// Sets the trade-off between the number of operations and what they hit.
    pub const fn range_policy(mut self, policy: RangePolicy) -> Self {
        self.policy = policy;
        self
    }

    pub(super) const fn tables(&self) -> Tables {
        let wide = matches!(self.va_bits, VaBits::Bits52);
        Tables {
            granule: self.granule,
            lpa2: (self.lpa2 || wide) && !matches!(self.granule, Granule::Kib64),
        }
    }

    pub(super) const fn is_kpti(&self) -> bool {
        self.kpti
    }

    pub(super) const fn has_wide_asids(&self) -> bool {
        self.wide_asids
    }

    pub(super) const fn policy(&self) -> RangePolicy {
        self.policy
    }

    /// The bits above the translated ones are all zero in the lower half and all one in the upper (Arm ARM D8.2.8); tags in the
    /// top byte are not part of an address here.
    pub(super) const fn check_range(
        &self,
        half: Half,
        pages: &PageRange,
    ) -> Result<(), RangeError> {
        let shift = match self.va_bits {
            VaBits::Bits48 => 48,
            VaBits::Bits52 => 52,
        };
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
