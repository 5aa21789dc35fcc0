//! Which architecture's descriptors a table consists of.

use super::amd_host;
use super::descriptor::{self, Kind, Mapping, Rights};

/// The format of a table. Every format here has four levels of 512 entries, 0 the root's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// VMSAv8-64, 4 KiB granule: AArch64 CPUs and SMMUs.
    Vmsa,
    /// The host page tables of an AMD IOMMU, also called v1.
    AmdHost,
}

impl Format {
    /// Takes the descriptor `raw` of this level apart.
    pub(crate) fn decode(self, level: u8, raw: u64) -> Kind {
        match self {
            Self::Vmsa => descriptor::decode(level, raw),
            Self::AmdHost => amd_host::decode(level, raw),
        }
    }

    /// The descriptor of a page or a block.
    pub(crate) fn leaf(self, mapping: &Mapping) -> u64 {
        match self {
            Self::Vmsa => descriptor::leaf_of(mapping),
            Self::AmdHost => amd_host::leaf_of(mapping),
        }
    }

    /// The descriptor at `level` that leads to the table `next`.
    pub(crate) fn table(self, level: u8, next: u64) -> u64 {
        match self {
            Self::Vmsa => descriptor::table_of(next),
            Self::AmdHost => amd_host::table_of(level, next),
        }
    }

    /// A leaf descriptor with other rights.
    pub(crate) fn permit(self, raw: u64, rights: Rights) -> u64 {
        match self {
            Self::Vmsa => descriptor::permit(raw, rights),
            Self::AmdHost => amd_host::permit(raw, rights),
        }
    }
}
