//! What a change of page tables asks of the TLBs (Arm ARM D8, "Using break-before-make when updating translation table entries"; D8.7,
//! "The Contiguous bit"; D8, "Support levels for changing block size").
//!
//! `break_before_make_level` is that of FEAT_BBM which the kernel relies on. With 2 a page may change its size in one store; a CPU that finds
//! both then may raise a TLB conflict abort, so the kernel either handles those (it drops everything and returns) or knows its CPUs for raising
//! none. It passes [`Aarch64::break_before_make_level`](super::Aarch64::break_before_make_level) in the first case, and 0 where it is
//! not ready for them. Level 1, which needs the nT bit set in the block first, counts as 0.

mod descriptor;

pub use crate::change::{Level, Needed};

use self::descriptor::{Bits, Kind};
use crate::change::{Decision, Reason};

/// From this level of FEAT_BBM on blocks and contiguous groups change their size in place.
const IN_PLACE: u8 = 2;

/// Decides by the name of a change. A pure function, for any context.
///
/// As on any machine ([`Decision::on_any_machine`]), except that a split, a collapse and a change of the contiguous hint need no
/// invalid entry in between where `break_before_make_level` is 2.
///
/// Cleared accessed flags are flushed even of single pages, at leisure: an entry stays in these TLBs long, and Linux does the same.
/// Unlike Linux, whose flush for them waits for nothing and relies on a context switch, it completes.
pub const fn decide(reason: Reason, break_before_make_level: u8) -> Decision {
    let decision = Decision::on_any_machine(reason);
    match reason {
        Reason::Split | Reason::Collapse | Reason::ContiguousHint
            if break_before_make_level >= IN_PLACE =>
        {
            decision.in_place()
        }
        _ => decision,
    }
}

/// Compares a stage 1 descriptor with what it is replaced by: 64 bits, permissions in the descriptor itself (neither FEAT_D128 nor
/// FEAT_S1PIE in use), any granule. A pure function, for any context.
///
/// | bits of a page or block | set | cleared |
/// |---|---|---|
/// | 0 | nothing: what is invalid is not cached | change |
/// | 1: block or table | replace, with level 2 change | the same |
/// | 4:2, 59 memory type; 5 NS; 9:8 shareability; 49:12 the address; 63 encryption context | replace | replace |
/// | 6 AP\[1\]: accessible from EL0 | change: PAN, and no execution at EL1 of what EL0 may write | change |
/// | 7 AP\[2\]: read-only | change | upgrade; change where it may be executed, because of `SCTLR_EL1.WXN` |
/// | 10 AF | nothing | change |
/// | 11 nG | change | replace: a global entry may meet older ones |
/// | 50 GP | change | change |
/// | 51 DBM: writable when first written to | as 7 cleared | change |
/// | 52 contiguous | replace, with level 2 change | the same |
/// | 53 PXN, 54 UXN | change | change: handlers repair faults of writes, not those of fetches |
/// | 58:55 | nothing | nothing |
/// | 62:60 permission overlay, or PBHA | change | change |
///
/// Of a table descriptor, the address and NSTable: replace. Bits 58:55, 11 and 9:2 are software's; a set AF (FEAT_HAFT) is nothing;
/// whatever else differs is a change.
///
/// A page with AF clear is not cached either, unless a neighbour of its contiguous group brought it in. Where the CPU sets AF, or clears
/// AP\[2\] for DBM, the old descriptor is what the atomic exchange that replaced it has returned.
///
/// The function sees one entry. That a table maps what the block did, and that all of a contiguous group change together, is the
/// caller's to see to; otherwise it is [`Needed::Replace`] at every level. On Cortex-A715 with erratum 2645198 a change of an entry
/// that EL0 may execute is one as well.
pub const fn needed(old: u64, new: u64, level: Level, break_before_make_level: u8) -> Needed {
    let in_place = break_before_make_level >= IN_PLACE;
    let (before, after) = (Bits::from_bits_retain(old), Bits::from_bits_retain(new));
    match (Kind::of(before, level), Kind::of(after, level)) {
        (Kind::Invalid, _) => Needed::Nothing,
        (Kind::Leaf, _) if !may_be_cached(before) => Needed::Nothing,
        (_, Kind::Invalid) => Needed::Change,
        (Kind::Leaf, Kind::Leaf) => of_leaf(before, after, in_place),
        (Kind::Table, Kind::Table) => of_table(before, after),
        _ => resized(in_place),
    }
}

const fn may_be_cached(leaf: Bits) -> bool {
    leaf.contains(Bits::ACCESSED) || leaf.contains(Bits::CONTIGUOUS)
}

const fn resized(in_place: bool) -> Needed {
    if in_place {
        Needed::Change
    } else {
        Needed::Replace
    }
}

const fn of_leaf(before: Bits, after: Bits, in_place: bool) -> Needed {
    let set = after.difference(before);
    let cleared = before.difference(after);
    let changed = set.union(cleared);
    if changed.intersects(Bits::LEAF_IDENTITY) || cleared.contains(Bits::NOT_GLOBAL) {
        return Needed::Replace;
    }
    if changed.contains(Bits::CONTIGUOUS) {
        return resized(in_place);
    }
    let may_be_written = Bits::READ_ONLY.union(Bits::DIRTY_MODIFIER);
    let harmless_to_set = Bits::SOFTWARE
        .union(Bits::ACCESSED)
        .union(Bits::DIRTY_MODIFIER);
    let harmless_to_clear = Bits::SOFTWARE.union(Bits::READ_ONLY);
    if !harmless_to_set.contains(set) || !harmless_to_clear.contains(cleared) {
        Needed::Change
    } else if !changed.intersects(may_be_written) {
        Needed::Nothing
    } else if after.contains(Bits::NEVER_EXECUTED) {
        Needed::Upgrade
    } else {
        Needed::Change
    }
}

const fn of_table(before: Bits, after: Bits) -> Needed {
    let set = after.difference(before);
    let cleared = before.difference(after);
    if set.union(cleared).intersects(Bits::TABLE_IDENTITY) {
        return Needed::Replace;
    }
    let harmless_to_set = Bits::TABLE_SOFTWARE.union(Bits::ACCESSED);
    if !harmless_to_set.contains(set) || !Bits::TABLE_SOFTWARE.contains(cleared) {
        Needed::Change
    } else {
        Needed::Nothing
    }
}
