//! Stage 1 descriptors of VMSAv8-64, as far as a change of them matters (Arm ARM D8.3, "Translation table descriptor formats"; Linux'
//! `asm/pgtable-hwdef.h`).
//!
//! Where the address lies within bits 49:12 depends on the granule and on FEAT_LPA2, which also puts two bits of it in place of the
//! shareability. All of these bits are treated alike, so that neither has to be known.

use crate::change::Level;

bitflags::bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(super) struct Bits: u64 {
        const VALID = 1 << 0;
        /// A table above the last level, a page at the last one; there is nothing else at that.
        const TABLE_OR_PAGE = 1 << 1;
        /// AP\[2\].
        const READ_ONLY = 1 << 7;
        const ACCESSED = 1 << 10;
        const NOT_GLOBAL = 1 << 11;
        /// DBM.
        const DIRTY_MODIFIER = 1 << 51;
        const CONTIGUOUS = 1 << 52;
        /// PXN and UXN.
        const NEVER_EXECUTED = 0b11 << 53;
        const SOFTWARE = 0b1111 << 55;
        /// AttrIndx, NS, SH, the address, AttrIndx\[3\] (FEAT_AIE), AMEC (FEAT_MEC): where a leaf leads, and as what.
        const LEAF_IDENTITY = 0b1111 << 2 | 0b11 << 8 | ADDRESS | 1 << 59 | 1 << 63;
        /// The address and NSTable.
        const TABLE_IDENTITY = ADDRESS | 1 << 50 | 1 << 63;
        /// What is ignored in a table descriptor, and AF there without FEAT_HAFT.
        const TABLE_SOFTWARE = 0xff << 2 | 1 << 11 | 0b1111 << 55;
    }
}

/// Bits 49:12.
const ADDRESS: u64 = 0x0003_ffff_ffff_f000;

/// What a descriptor is.
pub(super) enum Kind {
    /// Not valid, or reserved.
    Invalid,
    /// It refers to a table.
    Table,
    /// A page or a block.
    Leaf,
}

impl Kind {
    pub(super) const fn of(descriptor: Bits, level: Level) -> Self {
        let is_valid = descriptor.contains(Bits::VALID);
        match (is_valid, level, descriptor.contains(Bits::TABLE_OR_PAGE)) {
            (false, ..) | (true, Level::PageTable, false) => Self::Invalid,
            (true, Level::Directory, true) => Self::Table,
            (true, Level::PageTable, true) | (true, Level::Directory, false) => Self::Leaf,
        }
    }
}
