//! Page-table entries of x86-64 CPUs, and of a VT-d unit's first stage (Intel SDM vol. 3, 4.5.4, tables 4-14 to 4-20; AMD 24593,
//! 5.3.3; VT-d 9.8).

use super::descriptor::{Kind, Leaf, Mapping, Rights, level_shift};

/// Bit 0, P: the entry is present.
pub const PRESENT: u64 = 1 << 0;
/// Bit 1, R/W: writes are allowed.
pub const WRITABLE: u64 = 1 << 1;
/// Bit 2, U/S: accessible from user mode, and to devices that act for it.
pub const USER: u64 = 1 << 2;
/// Bit 5, A: hardware sets it, and faults on nothing.
pub const ACCESSED: u64 = 1 << 5;
/// Bit 6, D, of an entry that ends the walk: hardware sets it on a write.
pub const DIRTY: u64 = 1 << 6;
/// Bit 7, PS: the walk ends above the last level. In the last level it is PAT, and above 1 GiB it is reserved.
pub const PAGE_SIZE: u64 = 1 << 7;
/// Bit 8, G, of an entry that ends the walk: the translation serves every address space.
pub const GLOBAL: u64 = 1 << 8;
/// Bit 63, XD or NX: nothing may be executed from there.
pub const NO_EXECUTE: u64 = 1 << 63;
/// Bits 51:12: the page or the next table.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bit 12 is PAT where the walk ends above the last level; the address bits between it and the page's base are reserved.
const PAT_LARGE: u64 = 1 << 12;
/// The level of PTEs.
const LAST: i8 = 3;
/// The level of PDPTEs, the uppermost in which a walk may end.
const GIB: i8 = 1;

/// Decodes an entry. Directories restrict nothing in the tables that are built here; one that does is a fault.
pub(super) fn decode(level: i8, raw: u64) -> Kind {
    if raw & PRESENT == 0 {
        return Kind::Invalid;
    }
    match (level == LAST, raw & PAGE_SIZE != 0) {
        (true, _) => Kind::Leaf(leaf(level, raw)),
        (false, true) if level >= GIB && raw & reserved(level) == 0 => Kind::Leaf(leaf(level, raw)),
        (false, false) if raw & WRITABLE != 0 && raw & USER != 0 => Kind::Table(raw & ADDRESS),
        _ => Kind::Invalid,
    }
}

const fn reserved(level: i8) -> u64 {
    ADDRESS & ((1 << level_shift(level)) - 1) & !PAT_LARGE
}

fn leaf(level: i8, raw: u64) -> Leaf {
    let shift = level_shift(level);
    Leaf {
        pa: raw & ADDRESS & !((1 << shift) - 1),
        rights: if raw & WRITABLE != 0 {
            Rights::ReadWrite
        } else {
            Rights::ReadOnly
        },
        user: raw & USER != 0,
        // A walk sets A before it caches the entry.
        accessed: true,
        dirty: raw & DIRTY != 0,
        global: raw & GLOBAL != 0,
        shift,
    }
}

/// A user's data page, A and D set as by a kernel that does not track them.
pub(super) fn leaf_of(mapping: &Mapping) -> u64 {
    let size = if mapping.level == 3 { 0 } else { PAGE_SIZE };
    let global = if mapping.global { GLOBAL } else { 0 };
    let raw = mapping.pa | PRESENT | USER | ACCESSED | DIRTY | NO_EXECUTE | size | global;
    permit(raw, mapping.rights)
}

pub(super) fn table_of(next: u64) -> u64 {
    next | PRESENT | WRITABLE | USER | ACCESSED
}

pub(super) fn permit(raw: u64, rights: Rights) -> u64 {
    match rights {
        Rights::ReadOnly => raw & !WRITABLE,
        Rights::ReadWrite => raw | WRITABLE,
    }
}
