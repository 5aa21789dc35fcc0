//! Bits of CR4 and of CPUID. Pure layout.

use super::operand::MaxCount;

bitflags::bitflags! {
    /// CR4 (Intel SDM Vol 3A 2.5; AMD APM Vol 2 3.1.3). A bit can be set only where CPUID announces the feature.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Cr4: u64 {
        /// Global pages are enabled.
        const PGE = 1 << 7;
        /// Addresses have 57 bits.
        const LA57 = 1 << 12;
        /// Process-context identifiers are enabled.
        const PCIDE = 1 << 17;
        /// Whatever else is set there.
        const _ = !0;
    }
}

/// Leaf 0: EAX is the highest basic leaf. Beyond it some CPUs answer with that leaf instead of zeros.
pub(super) const LEAF_HIGHEST: u32 = 0;
/// Leaf 1: EAX is family, model and stepping.
pub(super) const LEAF_SIGNATURE: u32 = 1;
/// Leaf 7, subleaf 0: structured extended features.
pub(super) const LEAF_EXTENDED_FEATURES: u32 = 7;
/// Leaf 8000_0000h: EAX is the highest extended leaf.
pub(super) const LEAF_HIGHEST_EXTENDED: u32 = 0x8000_0000;
/// Leaf 8000_0008h: sizes of addresses, and more features.
pub(super) const LEAF_MORE_FEATURES: u32 = 0x8000_0008;

/// Leaf 7: EBX\[10\] is INVPCID (Intel SDM Vol 2A, "CPUID", table 3-8; AMD APM Vol 3 E.3.6).
pub(super) const fn has_invpcid(ebx: u32) -> bool {
    ebx & 1 << 10 != 0
}

/// Leaf 8000_0008h: EBX\[3\] is INVLPGB and TLBSYNC, EDX\[15:0\] the largest count less one (AMD APM Vol 3 E.4.7).
pub(super) const fn invlpgb(ebx: u32, edx: u32) -> Option<MaxCount> {
    if ebx & 1 << 3 != 0 {
        Some(MaxCount::from_cpuid(edx))
    } else {
        None
    }
}

/// Leaf 1: whether INVLPG may leave global entries while identifiers are enabled, from EAX (Intel SDM Vol 2A, "CPUID", figure 3-6)
/// and ECX\[31\], which hypervisors set: not so in their guests. The models are those of Linux ce0b15d11ad8, whatever their
/// microcode, for its revision is no matter of CPUID: a full flush too many costs time.
pub(super) const fn invlpg_misses_global(eax: u32, ecx: u32) -> bool {
    let is_family_6 = eax & 0x0ff0_0f00 == 0x600;
    let model = eax >> 12 & 0xf0 | eax >> 4 & 0xf;
    let is_guest = ecx & 1 << 31 != 0;
    is_family_6 && !is_guest && matches!(model, 0x97 | 0x9a | 0xb7 | 0xba | 0xbe | 0xbf)
}
