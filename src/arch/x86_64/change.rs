//! What a change of one paging-structure entry asks of the TLBs (Intel SDM Vol 3A 4.10.4.2, 4.10.4.3).

bitflags::bitflags! {
    /// The bits of an entry (Intel SDM Vol 3A 4.5.4, tables 4-15 to 4-20; AMD APM Vol 2 5.3.3, 5.4).
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Bits: u64 {
        const PRESENT = 1 << 0;
        const WRITABLE = 1 << 1;
        const ACCESSED = 1 << 5;
        const DIRTY = 1 << 6;
        /// Bits 11:9 and 58:52, which both manuals leave to software.
        const SOFTWARE = 0b111 << 9 | 0x7f << 52;
        const NO_EXECUTE = 1 << 63;
    }
}

/// Where the entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Level {
    /// In a page table: it maps a page of 4 KiB.
    PageTable,
    /// Above: it refers to a table or maps a large page.
    Directory,
}

/// What has to be flushed once the entry has been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Needed {
    /// Nothing: whoever holds the old entry behaves as with the new one, or looks again by itself.
    Nothing,
    /// Rights were widened at the same address with the same attributes:
    /// [`flush_upgrade`](crate::shootdown::Shootdown::flush_upgrade).
    Upgrade,
    /// Anything else: [`flush`](crate::shootdown::Shootdown::flush).
    Change,
}

/// Compares an entry with what it is replaced by. A pure function, for any context.
///
/// | bit | set | cleared |
/// |---|---|---|
/// | P | nothing: entries that are not present are not cached | change |
/// | R/W | upgrade; change where D was set, because the page was then one for shadow stacks | change |
/// | U/S | change: SMEP, SMAP and protection keys take rights away from the supervisor | change |
/// | PWT, PCD, PAT, G, PS, protection key | change | change |
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
/// To clear A and D exactly, read the old entry back from the atomic exchange that replaced it; a load before a store
/// misses what the CPU sets in between.
pub const fn needed(old: u64, new: u64, level: Level) -> Needed {
    let (before, after) = (Bits::from_bits_retain(old), Bits::from_bits_retain(new));
    if !before.contains(Bits::PRESENT) {
        return Needed::Nothing;
    }
    let set = after.difference(before);
    let cleared = before.difference(after);
    if narrows(before, set, cleared, level) {
        Needed::Change
    } else if widens(after, set, cleared) {
        Needed::Upgrade
    } else {
        Needed::Nothing
    }
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
