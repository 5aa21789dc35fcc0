//! What all CPUs can do: the intersection of their identities. What some CPU fails to do: the union.

use super::config::Config;
use super::identity::Identity;
use super::operand::MaxCount;
use super::registers::Cr4;
use crate::arch::JoinError;
use crate::sync::{AtomicU64, Ordering, const_unless_loom};

/// One bit for each capability, so that the intersection is an AND; the smallest INVLPGB count stands above them.
mod bit {
    pub(super) const PCID: u64 = 1 << 0;
    pub(super) const GLOBAL: u64 = 1 << 1;
    pub(super) const INVPCID: u64 = 1 << 2;
    pub(super) const INVLPGB: u64 = 1 << 3;
    pub(super) const ALL: u64 = PCID | GLOBAL | INVPCID | INVLPGB;
    /// What a broadcast to identifiers needs; INVPCID for those who flush alone.
    pub(super) const BROADCAST: u64 = PCID | INVPCID | INVLPGB;
    /// Not a capability but an erratum, in use from the first CPU that has it: INVLPG may leave global entries.
    pub(super) const MISSES_GLOBAL: u64 = 1 << 29;
    /// Not a capability: at least one CPU has been counted.
    pub(super) const COUNTED: u64 = 1 << 30;
    /// Not a capability: the intersection is in use and can no longer shrink.
    pub(super) const SEALED: u64 = 1 << 31;
}

/// The largest INVLPGB count less one, as CPUID codes it, in bits 47:32.
const COUNT_SHIFT: u32 = 32;
const COUNT_MASK: u64 = 0xffff;

impl Identity {
    fn capabilities(&self) -> u64 {
        let have = [
            (self.cr4.contains(Cr4::PCIDE), bit::PCID),
            (self.cr4.contains(Cr4::PGE), bit::GLOBAL),
            (self.invpcid, bit::INVPCID),
            (self.invlpgb.is_some(), bit::INVLPGB),
        ];
        have.iter()
            .filter(|(present, _)| *present)
            .fold(0, |all, (_, bit)| all | bit)
    }

    fn extra_addresses(&self) -> u64 {
        let max = self.invlpgb.unwrap_or(MaxCount::ONE);
        u64::from(max.get() - 1)
    }
}

/// The intersection. Until it is sealed no capability is in use, so that it may still shrink.
#[derive(Debug)]
pub(super) struct Features(AtomicU64);

impl Features {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(AtomicU64::new(bit::ALL | COUNT_MASK << COUNT_SHIFT))
        }
    }

    /// Counts the CPU in, or names what it lacks.
    pub(super) fn count(&self, identity: &Identity) -> Result<(), JoinError> {
        let capabilities = identity.capabilities();
        let extra = identity.extra_addresses();
        let errata = if identity.misses_global {
            bit::MISSES_GLOBAL
        } else {
            0
        };
        let marks = bit::COUNTED | errata;
        let narrow = |common: u64| {
            let missing = common & bit::ALL & !capabilities;
            let is_too_small = common & bit::INVLPGB != 0 && extra < extra_of(common);
            if common & bit::SEALED != 0 {
                return (missing == 0 && !is_too_small).then_some(common | errata);
            }
            let smallest = extra.min(extra_of(common));
            let flags = common & !(COUNT_MASK << COUNT_SHIFT) & !missing | marks;
            Some(flags | smallest << COUNT_SHIFT)
        };
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, narrow)
            .map(|_| ())
            .map_err(|common| refusal(common & bit::ALL & !capabilities))
    }

    /// Takes what the CPUs counted so far have in common into use; of none counted, that is nothing.
    pub(super) fn seal(&self, config: &Config) {
        let use_common = |common: u64| {
            let unwanted = match common {
                _ if common & bit::COUNTED == 0 => bit::ALL,
                _ if common & bit::BROADCAST != bit::BROADCAST || !config.may_broadcast() => {
                    bit::INVLPGB
                }
                _ => 0,
            };
            Some(common & !unwanted | bit::SEALED)
        };
        // The closure never refuses.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, use_common);
    }

    pub(super) fn pcids(&self) -> bool {
        self.uses(bit::PCID)
    }

    /// Whether kernel mappings may be taken to be global.
    pub(super) fn global_pages(&self) -> bool {
        self.uses(bit::GLOBAL)
    }

    pub(super) fn invpcid(&self) -> bool {
        self.uses(bit::INVPCID)
    }

    /// Whether kernel mappings need more than INVLPG. Relaxed: a CPU that has the erratum has said so itself.
    pub(super) fn invlpg_misses_global(&self) -> bool {
        self.0.load(Ordering::Relaxed) & bit::MISSES_GLOBAL != 0
    }

    /// The most addresses for one INVLPGB, where broadcasts are in use.
    pub(super) fn broadcasts(&self) -> Option<MaxCount> {
        let common = self.0.load(Ordering::Relaxed);
        let wanted = bit::INVLPGB | bit::SEALED;
        (common & wanted == wanted).then(|| MaxCount::from_cpuid(extra_of(common) as u32))
    }

    /// Relaxed: without a capability everything is right as well, only slower.
    fn uses(&self, capability: u64) -> bool {
        let wanted = capability | bit::SEALED;
        self.0.load(Ordering::Relaxed) & wanted == wanted
    }
}

const fn extra_of(common: u64) -> u64 {
    common >> COUNT_SHIFT & COUNT_MASK
}

/// Names the first of the missing capabilities.
fn refusal(missing: u64) -> JoinError {
    const NAMES: [(u64, &str); 4] = [
        (bit::PCID, "CR4.PCIDE"),
        (bit::GLOBAL, "CR4.PGE"),
        (bit::INVPCID, "INVPCID"),
        (bit::INVLPGB, "INVLPGB"),
    ];
    let name = NAMES.iter().find(|(bit, _)| missing & bit != 0);
    JoinError::MissingFeature(name.map_or("the INVLPGB count", |(_, name)| name))
}
