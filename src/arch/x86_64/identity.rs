//! What one CPU can do, by its CPUID and by what its kernel has enabled in CR4.

use super::instructions::Instructions;
use super::operand::MaxCount;
use super::registers::{
    self, Cr4, LEAF_EXTENDED_FEATURES, LEAF_HIGHEST, LEAF_HIGHEST_EXTENDED, LEAF_MORE_FEATURES,
    LEAF_SIGNATURE,
};

/// The executing CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) cr4: Cr4,
    pub(super) invpcid: bool,
    pub(super) invlpgb: Option<MaxCount>,
    /// INVLPG may leave global entries of the page.
    pub(super) misses_global: bool,
}

impl Identity {
    pub(super) fn read(on: &impl Instructions) -> Self {
        let extended = ask(on, LEAF_HIGHEST, LEAF_EXTENDED_FEATURES);
        let more = ask(on, LEAF_HIGHEST_EXTENDED, LEAF_MORE_FEATURES);
        let signature = ask(on, LEAF_HIGHEST, LEAF_SIGNATURE);
        let cr4 = Cr4::from_bits_retain(on.read_cr4());
        Self {
            cr4,
            invpcid: extended.is_some_and(|answer| registers::has_invpcid(answer.ebx)),
            invlpgb: more.and_then(|answer| registers::invlpgb(answer.ebx, answer.edx)),
            misses_global: cr4.contains(Cr4::PCIDE)
                && signature
                    .is_some_and(|answer| registers::invlpg_misses_global(answer.eax, answer.ecx)),
        }
    }
}

/// Subleaf 0 of a leaf, where the leaf exists.
fn ask(
    on: &impl Instructions,
    highest: u32,
    leaf: u32,
) -> Option<super::instructions::CpuidAnswer> {
    (on.cpuid(highest, 0).eax >= leaf).then(|| on.cpuid(leaf, 0))
}
