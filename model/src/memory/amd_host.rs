//! Descriptors of an AMD IOMMU's host page tables (AMD 48882, "I/O Page Tables for Host Translations"; VirtualBox's `IOPTE_T` and
//! `IOPDE_T` have the same bits).

use super::descriptor::{Kind, Leaf, Mapping, Rights, level_shift};

/// Bit 0, PR: the entry is present.
const PRESENT: u64 = 1 << 0;
/// Bits 11:9, Next Level: 0 for a page of this level's size, else the level below. 7 codes the size into the address.
const NEXT_LEVEL: u64 = 0b111 << 9;
/// Bits 51:12: the page or the next table.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bits 58:52 of an entry that ends the walk: reserved.
const RESERVED: u64 = 0x7f << 52;
/// Bit 61, IR, and bit 62, IW. An access needs its right at every level.
const READ: u64 = 1 << 61;
const WRITE: u64 = 1 << 62;

/// AMD counts levels from the pages upwards, and the root of four levels is level 4.
const fn amd_level(level: i8) -> u64 {
    (4 - level) as u64
}

/// Decodes an entry. What a driver has no reason to build is a fault here: skipped levels, directories that restrict, pages that
/// cannot be read, pages of 512 GiB, and sizes other than a level's.
pub(super) fn decode(level: i8, raw: u64) -> Kind {
    let next = (raw & NEXT_LEVEL) >> 9;
    if raw & PRESENT == 0 || raw & READ == 0 {
        return Kind::Invalid;
    }
    match next {
        0 if level > 0 => leaf(raw, level_shift(level)),
        _ if next + 1 == amd_level(level) && raw & WRITE != 0 => Kind::Table(raw & ADDRESS),
        _ => Kind::Invalid,
    }
}

fn leaf(raw: u64, shift: u8) -> Kind {
    if raw & RESERVED != 0 {
        return Kind::Invalid;
    }
    Kind::Leaf(Leaf {
        pa: raw & ADDRESS & !((1 << shift) - 1),
        rights: if raw & WRITE != 0 {
            Rights::ReadWrite
        } else {
            Rights::ReadOnly
        },
        user: true,
        accessed: true,
        // Tables that a kernel keeps for a device alone have no use for it.
        dirty: true,
        global: false,
        shift,
    })
}

pub(super) fn leaf_of(mapping: &Mapping) -> u64 {
    permit(mapping.pa | PRESENT, mapping.rights)
}

pub(super) fn table_of(level: i8, next: u64) -> u64 {
    next | PRESENT | (amd_level(level) - 1) << 9 | READ | WRITE
}

pub(super) fn permit(raw: u64, rights: Rights) -> u64 {
    match rights {
        Rights::ReadOnly => raw & !WRITE | READ,
        Rights::ReadWrite => raw | READ | WRITE,
    }
}
