//! What an AMD IOMMU of the model can be asked to be.

/// What an IOMMU implements: the extended feature register follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmdOptions {
    /// Guest translation (EFR.GTSup): PASIDs, and GN = 1 in commands.
    pub gt: bool,
    /// Peripheral page requests (EFR.PPRSup), and COMPLETE_PPR_REQUEST with them.
    pub ppr: bool,
    /// INVALIDATE_IOMMU_ALL (EFR.IASup).
    pub ia: bool,
    /// Device TLBs (IotlbSup of the PCI capability). Without it INVALIDATE_IOTLB_PAGES is illegal.
    pub iotlb: bool,
    /// Types of INVALIDATE_IOTLB_PAGES (EFR.InvIotlbTypeSup).
    pub iotlb_types: bool,
    /// Requests without a PASID may be translated as those of PASID 0 (EFR.GIOSup).
    pub giov: bool,
    /// Levels of guest tables, 4 or 5 (EFR.GATS + 4).
    pub guest_levels: u8,
    /// Levels of the GCR3 table (EFR.GLXSup + 1), 1 to 3.
    pub gcr3_levels: u8,
    /// Bits of a PASID (EFR.PASmax + 1), at most 20.
    pub pasid_bits: u8,
    /// SNP is on: completion stores reach the completion range alone, and the others vanish without a word.
    pub snp: bool,
    /// Erratum 732: the tail of the event log moves before the entry is written.
    pub event_tail_first: bool,
    /// GCR3 entries that lead nowhere are cached too, as a first binding that is not flushed would show.
    pub caches_absent_roots: bool,
    /// Polls that pass before a device TLB that does not answer counts as timed out, where InvTimeOut asks for a time at all.
    pub iotlb_timeout: u32,
}

impl Default for AmdOptions {
    fn default() -> Self {
        Self {
            gt: true,
            ppr: true,
            ia: true,
            iotlb: true,
            iotlb_types: false,
            giov: true,
            guest_levels: 4,
            gcr3_levels: 3,
            pasid_bits: 20,
            snp: false,
            event_tail_first: false,
            caches_absent_roots: true,
            iotlb_timeout: 8,
        }
    }
}
