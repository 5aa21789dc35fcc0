//! Page-table entries of POWER's radix trees (Power ISA 3.1B Book III 6.7.10, "Radix Tree Translation", the same in 3.0B; Linux'
//! `asm/book3s/64/radix.h` and `pgtable.h` have the same bits). Memory holds them big-endian, whatever the CPUs run in.

use super::descriptor::{Kind, Leaf, Mapping, Rights};

/// Bit 0 of the manual, V: the entry is valid.
pub const VALID: u64 = 1 << 63;
/// Bit 1, L: the walk ends here.
pub const LEAF: u64 = 1 << 62;
/// Bits 7:51, RPN: the page.
const RPN: u64 = 0x01ff_ffff_ffff_f000;
/// Bit 55, R: hardware may set it or interrupt; here it interrupts, and caches nothing.
pub const REFERENCED: u64 = 1 << 8;
/// Bit 56, C: set as by a kernel that does not track changes.
pub const CHANGED: u64 = 1 << 7;
/// Bits 60:63, EAA: privileged alone, read, write, execute.
pub const PRIVILEGED: u64 = 1 << 3;
/// Loads are allowed.
pub const READ: u64 = 1 << 2;
/// Stores are allowed.
pub const WRITE: u64 = 1 << 1;
/// Bits 4:55 of an entry that leads on, NLB: the next table.
const NEXT: u64 = 0x0fff_ffff_ffff_ff00;
/// Its bits 59:63, NLS: log2 of the next table's entries.
const NEXT_SIZE: u64 = 0x1f;

/// The tree of 52 bits: 13 at the root, 9 below, and what is left of the last level.
const ROOT_BITS: u8 = 13;
const BITS: u8 = 9;

/// What the last level maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// 512 pages of 4 KiB.
    Kib4,
    /// 32 pages of 64 KiB.
    Kib64,
}

impl Base {
    /// log2 of the bytes that one entry of a level covers: 512 GiB, 1 GiB, 2 MiB, and the base page.
    pub(super) const fn shift(self, level: i8) -> u8 {
        match (level, self) {
            (..=0, _) => 39,
            (1, _) => 30,
            (2, _) => 21,
            (_, Self::Kib4) => 12,
            (_, Self::Kib64) => 16,
        }
    }

    /// log2 of the entries of a table.
    pub(super) const fn bits(self, level: i8) -> u8 {
        match (level, self) {
            (..=0, _) => ROOT_BITS,
            (3.., Self::Kib64) => 5,
            _ => BITS,
        }
    }

    /// Decodes an entry as memory holds it. A next table of another size than this tree's is a fault, as are leaves of 512 GiB, pages
    /// that cannot be read, and addresses that are not aligned to their page.
    pub(super) fn decode(self, level: i8, stored: u64) -> Kind {
        let raw = u64::from_be(stored);
        if raw & VALID == 0 {
            return Kind::Invalid;
        }
        match (level, raw & LEAF != 0) {
            (1..=3, true) => leaf(raw, self.shift(level)),
            (..=2, false) if raw & NEXT_SIZE == self.bits(level + 1).into() => {
                Kind::Table(raw & NEXT)
            }
            _ => Kind::Invalid,
        }
    }

    /// The entry at `level` that leads to the table `next`.
    pub(super) fn table_of(self, level: i8, next: u64) -> u64 {
        (next | VALID | u64::from(self.bits(level + 1))).to_be()
    }
}

fn leaf(raw: u64, shift: u8) -> Kind {
    let pa = raw & RPN;
    if pa & ((1 << shift) - 1) != 0 || raw & READ == 0 {
        return Kind::Invalid;
    }
    Kind::Leaf(Leaf {
        pa,
        rights: if raw & WRITE != 0 {
            Rights::ReadWrite
        } else {
            Rights::ReadOnly
        },
        user: raw & PRIVILEGED == 0,
        accessed: raw & REFERENCED != 0,
        dirty: raw & CHANGED != 0,
        global: false,
        shift,
    })
}

pub(super) fn leaf_of(mapping: &Mapping) -> u64 {
    let raw = mapping.pa | VALID | LEAF | REFERENCED | CHANGED | READ;
    permit(raw.to_be(), mapping.rights)
}

pub(super) fn permit(stored: u64, rights: Rights) -> u64 {
    let raw = u64::from_be(stored);
    let permitted = match rights {
        Rights::ReadOnly => raw & !WRITE,
        Rights::ReadWrite => raw | WRITE,
    };
    permitted.to_be()
}
