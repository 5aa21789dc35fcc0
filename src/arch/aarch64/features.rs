//! What all CPUs can do: the intersection of their identification registers.

use crate::sync::{AtomicU32, Ordering, const_unless_loom};
use core::fmt;

/// A feature that a CPU lacks although the others use it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CpuRefused {
    /// 16-bit ASIDs are in use; this CPU has 8 bits.
    AsidBits,
    /// Range operations are in use; this CPU has no FEAT_TLBIRANGE.
    RangeOperations,
    /// Level hints are in use; this CPU has no FEAT_TTL.
    LevelHints,
    /// The kernel was told a higher level of break-before-make support than this CPU has.
    BreakBeforeMake,
}

impl fmt::Display for CpuRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsidBits => "the CPU has fewer ASID bits than are in use",
            Self::RangeOperations => "the CPU lacks FEAT_TLBIRANGE, which is in use",
            Self::LevelHints => "the CPU lacks FEAT_TTL, which is in use",
            Self::BreakBeforeMake => "the CPU lacks the level of FEAT_BBM in use",
        })
    }
}

impl core::error::Error for CpuRefused {}

/// One bit for each capability, so that the intersection is an AND. Levels are coded as a row of ones.
mod bit {
    pub(super) const ASID16: u32 = 1 << 0;
    pub(super) const RANGE: u32 = 1 << 1;
    pub(super) const TTL: u32 = 1 << 2;
    pub(super) const BBM1: u32 = 1 << 3;
    pub(super) const BBM2: u32 = 1 << 4;
    pub(super) const ALL: u32 = ASID16 | RANGE | TTL | BBM1 | BBM2;
    /// Not a capability: the intersection is in use and can no longer shrink.
    pub(super) const SEALED: u32 = 1 << 31;
    /// Not a capability: at least one CPU has been counted.
    pub(super) const COUNTED: u32 = 1 << 30;
}

/// The identification registers of one CPU, as far as they matter here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) mmfr0: u64,
    pub(super) mmfr2: u64,
    pub(super) isar0: u64,
}

impl Identity {
    /// Arm ARM D24.2: ID_AA64MMFR0_EL1.ASIDBits\[7:4\] (2 = 16 bits), ID_AA64ISAR0_EL1.TLB\[59:56\] (1 = outer shareable forms alone,
    /// 2 = range forms too), ID_AA64MMFR2_EL1.TTL\[51:48\] and BBM\[55:52\].
    fn capabilities(&self) -> u32 {
        let field = |register: u64, shift: u32| register >> shift & 0xf;
        let bbm = field(self.mmfr2, 52);
        let have = [
            (field(self.mmfr0, 4) == 2, bit::ASID16),
            (field(self.isar0, 56) >= 2, bit::RANGE),
            (field(self.mmfr2, 48) >= 1, bit::TTL),
            (bbm >= 1, bit::BBM1),
            (bbm >= 2, bit::BBM2),
        ];
        have.iter()
            .filter(|(present, _)| *present)
            .fold(0, |all, (_, bit)| all | bit)
    }
}

/// The intersection. Until it is sealed no capability is in use, so that it may still shrink.
#[derive(Debug)]
pub(super) struct Features(AtomicU32);

impl Features {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(AtomicU32::new(bit::ALL))
        }
    }

    /// Counts the CPU in, or names what it lacks.
    pub(super) fn count(&self, identity: Identity) -> Result<(), CpuRefused> {
        let capabilities = identity.capabilities();
        let narrowed = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |common| {
                let missing = common & bit::ALL & !capabilities;
                let sealed = common & bit::SEALED != 0;
                (!sealed || missing == 0).then_some(common & !missing | bit::COUNTED)
            });
        narrowed
            .map(|_| ())
            .map_err(|common| refusal(common & !capabilities))
    }

    /// Takes what the CPUs counted so far have in common into use; of none counted, that is nothing.
    pub(super) fn seal(&self) {
        // The closure never refuses.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |common| {
                let common = if common & bit::COUNTED == 0 {
                    0
                } else {
                    common
                };
                Some(common | bit::SEALED)
            });
    }

    pub(super) fn range_operations(&self) -> bool {
        self.uses(bit::RANGE)
    }

    pub(super) fn level_hints(&self) -> bool {
        self.uses(bit::TTL)
    }

    pub(super) fn asid_bits(&self) -> u32 {
        if self.uses(bit::ASID16) { 16 } else { 8 }
    }

    pub(super) fn break_before_make_level(&self) -> u8 {
        u8::from(self.uses(bit::BBM1)) + u8::from(self.uses(bit::BBM2))
    }

    /// Relaxed: without a capability everything is right as well, only slower.
    fn uses(&self, capability: u32) -> bool {
        let wanted = capability | bit::SEALED;
        self.0.load(Ordering::Relaxed) & wanted == wanted
    }
}

fn refusal(missing: u32) -> CpuRefused {
    if missing & bit::ASID16 != 0 {
        CpuRefused::AsidBits
    } else if missing & bit::RANGE != 0 {
        CpuRefused::RangeOperations
    } else if missing & bit::TTL != 0 {
        CpuRefused::LevelHints
    } else {
        CpuRefused::BreakBeforeMake
    }
}
