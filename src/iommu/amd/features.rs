//! What an implementation offers, from its extended feature registers and its PCI capability.

use super::registers;
use crate::dma::Mmio;

/// Bits of the capability header that the driver looks at (AMD 48882 3.2.1).
mod capability {
    pub(super) const IOTLB: u32 = 1 << 24;
    pub(super) const NON_PRESENT_CACHED: u32 = 1 << 26;
    pub(super) const EXTENDED_FEATURES: u32 = 1 << 27;
}

/// What the driver uses of an implementation (AMD 48882 3.4.1, extended feature registers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Features {
    /// Device TLBs: INVALIDATE_IOTLB_PAGES exists (IotlbSup of the capability header).
    pub device_tlbs: bool,
    /// Entries that translate nothing are cached too (NpCache of the capability header): an emulation that shadows tables.
    pub caches_non_present: bool,
    /// Page requests (EFR.PPRSup).
    pub page_requests: bool,
    /// Translation by PASID through GCR3 tables (EFR.GTSup).
    pub guest_translation: bool,
    /// INVALIDATE_IOMMU_ALL exists (EFR.IASup).
    pub invalidate_all: bool,
    /// Levels of host tables: 4, 5 or 6 (EFR.HATS).
    pub host_levels: u8,
    /// Levels of process tables: 4, 5 or 6 (EFR.GATS).
    pub guest_levels: u8,
    /// Levels of GCR3 tables: 1 to 3 (EFR.GLXSup).
    pub gcr3_levels: u8,
    /// Bits of a PASID: 1 to 20 (EFR.PASmax).
    pub pasid_bits: u8,
    /// Requests without a PASID can be treated as ones with PASID 0 (EFR.GIOSup).
    pub untagged_as_zero: bool,
    /// Secure nested paging can be enabled (EFR.SNPSup). Whether it is, the kernel says.
    pub snp: bool,
    /// The GCR3 table's root may lie behind the guest's own translation (EFR2.GCR3TRPMode). Not used here.
    pub gcr3_root_mode: bool,
}

impl Features {
    /// Reads the extended feature registers. `capability` is the first doubleword of the IOMMU's PCI capability (id 0x0f), or as much of
    /// it as the firmware's tables tell.
    pub fn discover(registers: &impl Mmio, capability: u32) -> Self {
        if capability & capability::EXTENDED_FEATURES == 0 {
            return Self::from_registers(capability, 0, 0);
        }
        Self::from_registers(
            capability,
            registers.read64(registers::EXTENDED_FEATURES),
            registers.read64(registers::EXTENDED_FEATURES_2),
        )
    }

    /// The features that these values of the capability header, EFR and EFR2 stand for.
    pub fn from_registers(capability: u32, efr: u64, efr2: u64) -> Self {
        let bit = |n: u32| efr >> n & 1 != 0;
        let field = |low: u32, width: u32| (efr >> low & ((1 << width) - 1)) as u8;
        Self {
            device_tlbs: capability & capability::IOTLB != 0,
            caches_non_present: capability & capability::NON_PRESENT_CACHED != 0,
            page_requests: bit(1),
            guest_translation: bit(4),
            invalidate_all: bit(6),
            host_levels: 4 + field(10, 2).min(2),
            guest_levels: 4 + field(12, 2).min(2),
            gcr3_levels: 1 + field(14, 2).min(2),
            pasid_bits: (1 + field(32, 5)).min(20),
            untagged_as_zero: bit(48),
            snp: bit(63),
            gcr3_root_mode: efr2 >> 3 & 1 != 0,
        }
    }
}
