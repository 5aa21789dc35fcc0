//! What all CPUs can do: the intersection of their identification registers.

use crate::arch::JoinError;
use crate::sync::{AtomicU32, Ordering, const_unless_loom};

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
    pub(super) fn count(&self, identity: Identity) -> Result<(), JoinError> {
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

    /// Takes what the CPUs counted so far have in common into use; of none counted, that is nothing. ASIDs stay narrow where
    /// the kernel has not said otherwise, and CPUs with 8 bits are then welcome later.
    pub(super) fn seal(&self, wide_asids: bool) {
        let wanted = if wide_asids {
            bit::ALL
        } else {
            bit::ALL & !bit::ASID16
        };
        let use_common = |common| match common & bit::COUNTED {
            0 => Some(bit::SEALED),
            _ => Some(common & (wanted | bit::COUNTED) | bit::SEALED),
        };
        // The closure never refuses.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, use_common);
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

/// Names the first of the missing capabilities.
fn refusal(missing: u32) -> JoinError {
    const NAMES: [(u32, &str); 4] = [
        (bit::ASID16, "16-bit ASIDs"),
        (bit::RANGE, "FEAT_TLBIRANGE"),
        (bit::TTL, "FEAT_TTL"),
        (bit::BBM2, "FEAT_BBM level 2"),
    ];
    let name = NAMES.iter().find(|(bit, _)| missing & bit != 0);
    JoinError::MissingFeature(name.map_or("FEAT_BBM", |(_, name)| name))
}
