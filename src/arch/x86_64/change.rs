//! What a change of page tables asks of the TLBs (Intel SDM Vol 3A 4.10.2.3, 4.10.4.2, 4.10.4.3).

use crate::change::{Decision, Reason};

pub use crate::change::{Level, Needed};

bitflags::bitflags! {
    /// The bits of an entry (Intel SDM Vol 3A 4.5.4, tables 4-15 to 4-20; AMD APM Vol 2 5.3.3, 5.4).
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Bits: u64 {
        const PRESENT = 1 << 0;
        const WRITABLE = 1 << 1;
        const ACCESSED = 1 << 5;
        const DIRTY = 1 << 6;
        /// Of a directory; in a page table the bit is PAT.
        const PAGE_SIZE = 1 << 7;
        /// Bits 11:9 and 58:52, which both manuals leave to software.
        const SOFTWARE = 0b111 << 9 | 0x7f << 52;
        const NO_EXECUTE = 1 << 63;
    }
}

/// Decides by the name of a change. A pure function, for any context.
///
/// | reason | as on any machine, except |
/// |---|---|
/// | accessed flag of single pages | nothing: see [`needed`] |
/// | spurious fault | nothing: the fault has dropped the entry (Intel SDM Vol 3A 4.10.4.1; AMD APM Vol 2 5.5.2) |
/// | contiguous hint | nothing: entries have no such bit |
///
/// A large page and its table are never live together (Intel SDM Vol 3A 4.10.2.3). Linux' upgrade by a fault tells no secondary TLB.
pub const fn decide(reason: Reason) -> Decision {
    match reason {
        Reason::AccessedCleared | Reason::SpuriousFault | Reason::ContiguousHint => {
            Decision::NOTHING
        }
        _ => Decision::on_any_machine(reason),
    }
}

/// Compares an entry with what it is replaced by. A pure function, for any context.
///
/// | bit | set | cleared |
/// |---|---|---|
/// | P | nothing: entries that are not present are not cached | change |
/// | R/W | upgrade; change where D was set, because the page was then one for shadow stacks | change |
/// | U/S | change: SMEP, SMAP and protection keys take rights away from the supervisor | change |
/// | PWT, PCD, PAT, G, protection key | change | change |
/// | PS | replace | replace |
/// | A | nothing | nothing in a page table, change above |
/// | D | nothing; upgrade where R/W is clear, because shadow stacks may then be written | change |
/// | XD | change | upgrade |
/// | 11:9, 58:52 | nothing | nothing |
/// | any other: the address, and bits that have no meaning at this level | change | change |
///
/// A CPU that holds an entry whose A was cleared need not set it again: a page in use then looks idle until the entry is evicted by
/// itself. For single pages that inexactness is cheaper than a flush. Large pages stay in the TLB far longer, and an
/// entry for a table stands for all that is below.
///
/// A large page and a table must not take each other's place in one store: addresses, rights and attributes of the two may differ, and the
/// TLB may then answer with either, or with a mixture (4.10.2.3; some CPUs raise a machine check: AMD family 10h erratum 383).
///
/// To clear A and D exactly, read the old entry back from the atomic exchange that replaced it; a load before a store
/// misses what the CPU sets in between.
pub const fn needed(old: u64, new: u64, level: Level) -> Needed {
    let (before, after) = (Bits::from_bits_retain(old), Bits::from_bits_retain(new));
    if !before.contains(Bits::PRESENT) {
        return Needed::Nothing;
    }
    let set = after.difference(before);
    let cleared = before.difference(after);
    if resizes(before, after, level) {
        Needed::Replace
    } else if narrows(before, set, cleared, level) {
        Needed::Change
    } else if widens(after, set, cleared) {
        Needed::Upgrade
    } else {
        Needed::Nothing
    }
}

/// Whether a large page takes the place of a table, or a table that of a large page.
const fn resizes(before: Bits, after: Bits, level: Level) -> bool {
    let changed = before.symmetric_difference(after);
    matches!(level, Level::Directory)
        && after.contains(Bits::PRESENT)
        && changed.contains(Bits::PAGE_SIZE)
}

const fn narrows(before: Bits, set: Bits, cleared: Bits, level: Level) -> bool {
    let harmless_to_clear = match level {
        Level::PageTable => Bits::SOFTWARE.union(Bits::NO_EXECUTE).union(Bits::ACCESSED),
        Level::Directory => Bits::SOFTWARE.union(Bits::NO_EXECUTE),
    };
    let harmless_to_set = Bits::SOFTWARE
        .union(Bits::WRITABLE)
        .union(Bits::ACCESSED)
        .union(Bits::DIRTY);
    let was_shadow_stack = set.contains(Bits::WRITABLE) && before.contains(Bits::DIRTY);
    !harmless_to_clear.contains(cleared) || !harmless_to_set.contains(set) || was_shadow_stack
}

const fn widens(after: Bits, set: Bits, cleared: Bits) -> bool {
    let is_shadow_stack = set.contains(Bits::DIRTY) && !after.contains(Bits::WRITABLE);
    set.contains(Bits::WRITABLE) || cleared.contains(Bits::NO_EXECUTE) || is_shadow_stack
}
