//! What a change of page tables asks of the TLBs (Power ISA 3.1B, Book III 6.7.10, "Radix Tree Translation"; 6.10.1.2, "Modifying a
//! Translation Table Entry").

pub use crate::change::{Level, Needed};

use crate::change::{Decision, Reason};

bitflags::bitflags! {
    /// The bits of an entry by value (Power ISA 3.1B, Book III 6.7.10.2; Linux' `asm/book3s/64/pgtable.h`), from V = bit 0 of the
    /// manual down.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Bits: u64 {
        const VALID = 1 << 63;
        /// A page; clear in an entry that refers to a table.
        const LEAF = 1 << 62;
        /// SW of a page: bits 2 and 52:54 of the manual.
        const SOFTWARE = 1 << 61 | 0b111 << 9;
        /// R.
        const REFERENCED = 1 << 8;
        /// C.
        const CHANGED = 1 << 7;
        const READ = 1 << 2;
        const WRITE = 1 << 1;
        const EXECUTE = 1 << 0;
        /// RPN and ATT of a page.
        const LEAF_IDENTITY = 0x01ff_ffff_ffff_f000 | 0b11 << 4;
        /// NLB and NLS of an entry that refers to a table.
        const TABLE_IDENTITY = 0x0fff_ffff_ffff_ff00 | 0x1f;
    }
}

/// Decides by the name of a change. A pure function, for any context.
///
/// | reason | as on any machine, except |
/// |---|---|
/// | accessed flag of single pages | nothing: see [`needed`] |
/// | spurious fault | nothing: after an access fault the entry is fetched again (6.10.1.2) |
/// | contiguous hint, protection key | nothing: entries of radix tables have neither |
/// | freed, moved, unshared tables, a collapse | the size counts: pages and walk caches are invalidated apart |
///
/// An upgrade is [`Shootdown::upgrade`](crate::shootdown::Shootdown::upgrade)'s here, which knows whether an accelerator wants the entry invalid in
/// between. Where Linux differs: an upgrade flushes nothing and tells no secondary TLB, page-sized flushes and the collapse of a
/// large page tell none either, and a large page's accessed flag is cleared without a flush.
pub const fn decide(reason: Reason) -> Decision {
    match reason {
        Reason::AccessedCleared
        | Reason::SpuriousFault
        | Reason::ContiguousHint
        | Reason::ProtectionKey => Decision::NOTHING,
        _ => Decision::on_any_machine(reason).sized(),
    }
}

/// Compares an entry of a radix table, as a value (tables are stored big-endian), with what it is replaced by. A pure function, for
/// any context.
///
/// | bits of a page | set | cleared |
/// |---|---|---|
/// | 63 V | nothing: what is invalid is not cached | change |
/// | 62 L: page or table | replace | replace |
/// | 56:12 RPN, 5:4 ATT | replace | replace |
/// | 8 R | nothing | nothing in the last level, change above |
/// | 7 C | nothing | change |
/// | 3 privileged | change: key 0 of AMR and IAMR applies to the other kind | change |
/// | 2 read, 1 write, 0 execute | upgrade | change |
/// | 61, 11:9 | nothing | nothing |
/// | any other, which are reserved | change | change |
///
/// Of an entry that refers to a table, 59:8 (NLB) and 4:0 (NLS): replace; any other bit: change.
///
/// A CPU that holds an entry whose R was cleared need not set it again: a page in use then looks idle until the entry is evicted by
/// itself. For single pages that inexactness is cheaper than a flush; large pages stay in the TLB far longer.
///
/// Where the CPU sets R and C, the old entry is what the atomic exchange that replaced it has returned.
pub const fn needed(old: u64, new: u64, level: Level) -> Needed {
    let (before, after) = (Bits::from_bits_retain(old), Bits::from_bits_retain(new));
    if !before.contains(Bits::VALID) {
        return Needed::Nothing;
    }
    if !after.contains(Bits::VALID) {
        return Needed::Change;
    }
    match (before.contains(Bits::LEAF), after.contains(Bits::LEAF)) {
        (true, true) => of_leaf(before, after, level),
        (false, false) => of_table(before, after),
        (true, false) | (false, true) => Needed::Replace,
    }
}

const fn of_leaf(before: Bits, after: Bits, level: Level) -> Needed {
    let set = after.difference(before);
    let cleared = before.difference(after);
    if set.union(cleared).intersects(Bits::LEAF_IDENTITY) {
        return Needed::Replace;
    }
    let harmless_to_clear = match level {
        Level::PageTable => Bits::SOFTWARE.union(Bits::REFERENCED),
        Level::Directory => Bits::SOFTWARE,
    };
    let rights = Bits::READ.union(Bits::WRITE).union(Bits::EXECUTE);
    let harmless_to_set = Bits::SOFTWARE
        .union(Bits::REFERENCED)
        .union(Bits::CHANGED)
        .union(rights);
    if !harmless_to_clear.contains(cleared) || !harmless_to_set.contains(set) {
        Needed::Change
    } else if set.intersects(rights) {
        Needed::Upgrade
    } else {
        Needed::Nothing
    }
}

const fn of_table(before: Bits, after: Bits) -> Needed {
    let changed = before.symmetric_difference(after);
    if changed.is_empty() {
        Needed::Nothing
    } else if changed.intersects(Bits::TABLE_IDENTITY) {
        Needed::Replace
    } else {
        Needed::Change
    }
}
