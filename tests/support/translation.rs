//! How the modelled tables look to an SMMU.

use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::smmuv3::{
    AsidSource, Cacheability, Granule, Shareability, TableUpdates, TranslationConfig,
};

/// A table of the model's, at `root`, under an ASID of the SMMU's own.
pub(crate) fn translation(root: u64) -> TranslationConfig {
    TranslationConfig {
        root: PhysAddr::new(root),
        t0sz: 16,
        granule: Granule::Kib4,
        // 48 bits.
        ips: 5,
        mair: 0xff,
        shareability: Shareability::Inner,
        inner: Cacheability::WriteBack,
        outer: Cacheability::WriteBack,
        updates: TableUpdates::Software,
        asid: AsidSource::Private,
    }
}
