//! Which architecture's descriptors a table consists of.

use super::descriptor::{self, Kind, Leaf, Mapping, Rights, level_shift};
use super::{amd_host, radix, x86_64};

/// The format of a table. The last level is 3; the root of four levels is level 0, and that of five is level -1, as Arm counts. Levels
/// have 512 entries, but for the first and the last of a radix tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// VMSAv8-64, 4 KiB granule: AArch64 CPUs and SMMUs.
    Vmsa,
    /// x86-64 CPUs, and the first stage of IOMMUs that share their tables.
    X86,
    /// The same as a VT-d unit reads it, for which no page is global.
    VtdFirstStage,
    /// The host page tables of an AMD IOMMU, also called v1.
    AmdHost,
    /// Radix trees of POWER, by what their last level maps.
    Radix(radix::Base),
}

impl Format {
    /// Takes the descriptor `raw` of this level apart.
    pub(crate) fn decode(self, level: i8, raw: u64) -> Kind {
        match self {
            Self::Vmsa => descriptor::decode(level, raw),
            Self::X86 => x86_64::decode(level, raw),
            Self::VtdFirstStage => not_global(x86_64::decode(level, raw)),
            Self::AmdHost => amd_host::decode(level, raw),
            Self::Radix(base) => base.decode(level, raw),
        }
    }

    /// The descriptor of a page or a block.
    pub(crate) fn leaf(self, mapping: &Mapping) -> u64 {
        match self {
            Self::Vmsa => descriptor::leaf_of(mapping),
            Self::X86 | Self::VtdFirstStage => x86_64::leaf_of(mapping),
            Self::AmdHost => amd_host::leaf_of(mapping),
            Self::Radix(_) => radix::leaf_of(mapping),
        }
    }

    /// The descriptor at `level` that leads to the table `next`.
    pub(crate) fn table(self, level: i8, next: u64) -> u64 {
        match self {
            Self::Vmsa => descriptor::table_of(next),
            Self::X86 | Self::VtdFirstStage => x86_64::table_of(next),
            Self::AmdHost => amd_host::table_of(level, next),
            Self::Radix(base) => base.table_of(level, next),
        }
    }

    /// A leaf descriptor with other rights.
    pub(crate) fn permit(self, raw: u64, rights: Rights) -> u64 {
        match self {
            Self::Vmsa => descriptor::permit(raw, rights),
            Self::X86 | Self::VtdFirstStage => x86_64::permit(raw, rights),
            Self::AmdHost => amd_host::permit(raw, rights),
            Self::Radix(_) => radix::permit(raw, rights),
        }
    }

    /// log2 of the bytes that one entry of a level covers.
    pub(crate) const fn shift(self, level: i8) -> u8 {
        match self {
            Self::Radix(base) => base.shift(level),
            _ => level_shift(level),
        }
    }

    /// Where the entry for an address lies in a table of this level, in bytes.
    pub(crate) const fn offset(self, level: i8, va: u64) -> u64 {
        ((va >> self.shift(level)) * 8) & (self.table_bytes(level) - 1)
    }

    /// How long a table of this level is.
    pub(crate) const fn table_bytes(self, level: i8) -> u64 {
        match self {
            Self::Radix(base) => 8 << base.bits(level),
            _ => 0x1000,
        }
    }
}

/// Bit 8 of first-stage entries is ignored (VT-d 9.8).
fn not_global(kind: Kind) -> Kind {
    match kind {
        Kind::Leaf(leaf) => Kind::Leaf(Leaf {
            global: false,
            ..leaf
        }),
        other => other,
    }
}
