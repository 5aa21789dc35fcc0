//! VMSAv8-64 descriptors, 4 KiB granule (Arm ARM D8.3.1 and D8.3.2).

/// Bit 0: the descriptor is valid.
pub const VALID: u64 = 1 << 0;
/// Bit 1: a table at levels 0 to 2, a page at level 3; clear for a block at levels 1 and 2.
pub const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bit 6, AP\[1\]: accessible from EL0, and to devices that act for user mode.
pub const USER: u64 = 1 << 6;
/// Bit 7, AP\[2\]: read-only.
pub const READ_ONLY: u64 = 1 << 7;
/// Bits 9:8, SH: inner shareable.
pub const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Bit 10, AF: clear raises an access-flag fault, and is then never cached.
pub const ACCESSED: u64 = 1 << 10;
/// Bit 11, nG: tagged with the ASID; clear makes the entry global.
pub const NOT_GLOBAL: u64 = 1 << 11;
/// Bit 52: one of 16 adjacent entries that may be cached as one.
pub const CONTIGUOUS: u64 = 1 << 52;
/// Bits 47:12: the output address or the next table.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// What a leaf entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Reads alone.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// How a page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The frame.
    pub pa: u64,
    /// What may be done.
    pub rights: Rights,
    /// Level of the leaf entry: 3 for 4 KiB (64 KiB in trees of such pages), 2 for 2 MiB, 1 for 1 GiB.
    pub level: u8,
    /// Shared by all address spaces (nG clear, G set), where the format knows such pages.
    pub global: bool,
}

impl Mapping {
    /// A 4 KiB page of one address space.
    pub const fn page(pa: u64, rights: Rights) -> Self {
        Self {
            pa,
            rights,
            level: 3,
            global: false,
        }
    }
}

/// A descriptor taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalid,
    Table(u64),
    Leaf(Leaf),
}

/// A page or a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) pa: u64,
    pub(crate) rights: Rights,
    pub(crate) user: bool,
    pub(crate) accessed: bool,
    /// Writes are not marked any more, because one has been.
    pub(crate) dirty: bool,
    pub(crate) global: bool,
    /// log2 of the bytes that one TLB entry may cover: the contiguous bit widens it.
    pub(crate) shift: u8,
}

/// log2 of the bytes that one entry of a level covers.
pub(crate) const fn level_shift(level: i8) -> u8 {
    (39 - 9 * level) as u8
}

/// Decodes the descriptor `raw` of this level.
pub(crate) fn decode(level: i8, raw: u64) -> Kind {
    if raw & VALID == 0 {
        return Kind::Invalid;
    }
    match (level, raw & TABLE_OR_PAGE != 0) {
        (..=2, true) => Kind::Table(raw & ADDRESS),
        // A block at level 0 needs FEAT_LPA2; 0b01 at level 3 is reserved: both are faults.
        (..=0, false) | (3, false) => Kind::Invalid,
        _ => Kind::Leaf(leaf(level, raw)),
    }
}

fn leaf(level: i8, raw: u64) -> Leaf {
    let shift = level_shift(level);
    // Arm ARM D8.7.1, 4 KiB granule: 16 entries at levels 2 and 3, 16 at level 1.
    let widened = if raw & CONTIGUOUS != 0 { 4 } else { 0 };
    Leaf {
        pa: raw & ADDRESS & !((1 << shift) - 1),
        rights: if raw & READ_ONLY != 0 {
            Rights::ReadOnly
        } else {
            Rights::ReadWrite
        },
        user: raw & USER != 0,
        accessed: raw & ACCESSED != 0,
        // A clean page is one without the right to write: hardware that sets the right itself (FEAT_HAFDBS) is not modelled.
        dirty: true,
        global: raw & NOT_GLOBAL == 0,
        shift: shift + widened,
    }
}

pub(super) fn leaf_of(mapping: &Mapping) -> u64 {
    let kind = if mapping.level == 3 { TABLE_OR_PAGE } else { 0 };
    let tagged = if mapping.global { 0 } else { NOT_GLOBAL };
    let raw = mapping.pa | VALID | kind | USER | INNER_SHAREABLE | ACCESSED | tagged;
    permit(raw, mapping.rights)
}

pub(super) fn table_of(next: u64) -> u64 {
    next | VALID | TABLE_OR_PAGE
}

pub(super) fn permit(raw: u64, rights: Rights) -> u64 {
    match rights {
        Rights::ReadOnly => raw | READ_ONLY,
        Rights::ReadWrite => raw & !READ_ONLY,
    }
}
