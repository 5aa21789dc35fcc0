//! Which architecture's descriptors a table consists of.

use super::descriptor::{self, Kind, Leaf, Mapping, Rights};
use super::{amd_host, x86_64};

/// The format of a table. Every format here has levels of 512 entries, the last of which is 3. The root of four levels is level 0,
/// and that of five is level -1, as Arm counts.
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
}

impl Format {
    /// Takes the descriptor `raw` of this level apart.
    pub(crate) fn decode(self, level: i8, raw: u64) -> Kind {
        match self {
            Self::Vmsa => descriptor::decode(level, raw),
            Self::X86 => x86_64::decode(level, raw),
            Self::VtdFirstStage => not_global(x86_64::decode(level, raw)),
            Self::AmdHost => amd_host::decode(level, raw),
        }
    }

    /// The descriptor of a page or a block.
    pub(crate) fn leaf(self, mapping: &Mapping) -> u64 {
        match self {
            Self::Vmsa => descriptor::leaf_of(mapping),
            Self::X86 | Self::VtdFirstStage => x86_64::leaf_of(mapping),
            Self::AmdHost => amd_host::leaf_of(mapping),
        }
    }

    /// The descriptor at `level` that leads to the table `next`.
    pub(crate) fn table(self, level: i8, next: u64) -> u64 {
        match self {
            Self::Vmsa => descriptor::table_of(next),
            Self::X86 | Self::VtdFirstStage => x86_64::table_of(next),
            Self::AmdHost => amd_host::table_of(level, next),
        }
    }

    /// A leaf descriptor with other rights.
    pub(crate) fn permit(self, raw: u64, rights: Rights) -> u64 {
        match self {
            Self::Vmsa => descriptor::permit(raw, rights),
            Self::X86 | Self::VtdFirstStage => x86_64::permit(raw, rights),
            Self::AmdHost => amd_host::permit(raw, rights),
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
