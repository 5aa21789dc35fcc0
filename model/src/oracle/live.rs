//! What may be stored over an entry that is live.

use crate::memory::Format;
use crate::memory::descriptor::{Kind, Leaf};

/// Whether the CPUs that walk this format ask for an invalid entry, and its flush, between the two.
///
/// * AArch64: another size, the contiguous bit included, or another place (Arm ARM D8.16.1). With level 2 of FEAT_BBM (`resizes`)
///   sizes change in place; the place does not.
/// * POWER: whatever is neither software's, R, C, nor rights (Power ISA 3.1B Book III 6.10.1.2, "Modifying a Translation Table Entry").
/// * x86-64: another size alone (Intel SDM Vol 3A 4.10.2.3; AMD family 10h erratum 383).
///
/// What is not in place at all is nobody's, and one table for another is a matter of the walk caches: none has two sizes at once.
pub(crate) fn breaks(format: Format, resizes: bool, old: Kind, new: Kind) -> bool {
    let (size, place) = match (old, new) {
        (Kind::Leaf(_), Kind::Table(_)) | (Kind::Table(_), Kind::Leaf(_)) => (true, false),
        (Kind::Leaf(old), Kind::Leaf(new)) => (old.shift != new.shift, is_elsewhere(&old, &new)),
        _ => (false, false),
    };
    match format {
        Format::Vmsa => place || (size && !resizes),
        Format::Radix(_) => place || size,
        Format::X86 => size,
        // No CPU walks it.
        Format::VtdFirstStage | Format::AmdHost => false,
    }
}

fn is_elsewhere(old: &Leaf, new: &Leaf) -> bool {
    old.pa != new.pa
}
