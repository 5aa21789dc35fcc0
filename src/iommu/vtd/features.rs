//! What a unit offers, from its capability registers.

use super::command::Drain;
use super::registers;
use crate::defects::Defect;
use crate::dma::Mmio;

/// What the driver uses of a unit (VT-d 11.4.2 CAP and 11.4.3 ECAP; Linux `cap_*` and `ecap_*`, QEMU `VTD_CAP_*` and `VTD_ECAP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Features {
    /// Bits of a domain number (CAP.ND).
    pub domain_bits: u8,
    /// Tables have to be flushed out of a write buffer (CAP.RWBF).
    pub write_buffer: bool,
    /// Entries that are not present may be cached (CAP.CM).
    pub caching_mode: bool,
    /// Second-stage tables of n + 2 levels for each bit n (CAP.SAGAW).
    pub second_stage: u8,
    /// Page-selective invalidation of a domain (CAP.PSI).
    pub page_selective: bool,
    /// The largest address mask of a page-selective invalidation (CAP.MAMV); 0 without CAP.PSI.
    pub largest_mask: u8,
    /// Which accesses an IOTLB invalidation can drain (CAP.DRD, CAP.DWD).
    pub drain: Drain,
    /// First-stage pages of 1 GiB (CAP.FL1GP).
    pub gigabyte_pages: bool,
    /// First-stage tables of five levels (CAP.FL5LP).
    pub five_levels: bool,
    /// Tables are read coherently with the CPUs' caches (ECAP.C).
    pub coherent: bool,
    /// Page walks can be coherent with the CPUs' caches (ECAP.SMPWC).
    pub coherent_walks: bool,
    /// Queued invalidation (ECAP.QI).
    pub queued_invalidation: bool,
    /// Device TLBs (ECAP.DT).
    pub device_tlbs: bool,
    /// Page requests (ECAP.PRS).
    pub page_requests: bool,
    /// PASIDs (ECAP.PASID).
    pub pasids: bool,
    /// Bits of a PASID (ECAP.PSS + 1).
    pub pasid_bits: u8,
    /// Device-TLB invalidations name the physical function (ECAP.DIT).
    pub physical_functions: bool,
    /// Wait descriptors can drain page requests (ECAP.PDS).
    pub page_request_drain: bool,
    /// Scalable mode (ECAP.SMTS).
    pub scalable: bool,
    /// First-stage translation (ECAP.FLTS).
    pub first_stage: bool,
}

impl Features {
    /// Reads the capability registers.
    pub fn discover(registers: &impl Mmio) -> Self {
        let mut features = Self::from_registers(
            registers.read64(registers::CAP),
            registers.read64(registers::ECAP),
        );
        if Defect::MaskBeyondMamv.is_put_back() {
            features.largest_mask = 52;
        }
        features
    }

    /// The features that these values of CAP and ECAP stand for.
    pub const fn from_registers(cap: u64, ecap: u64) -> Self {
        let mamv = (cap >> 48 & 0x3f) as u8;
        Self {
            domain_bits: 4 + 2 * (cap & 7) as u8,
            write_buffer: cap >> 4 & 1 != 0,
            caching_mode: cap >> 7 & 1 != 0,
            second_stage: (cap >> 8 & 0x1f) as u8,
            page_selective: cap >> 39 & 1 != 0,
            largest_mask: if cap >> 39 & 1 != 0 { mamv } else { 0 },
            drain: Drain {
                writes: cap >> 54 & 1 != 0,
                reads: cap >> 55 & 1 != 0,
            },
            gigabyte_pages: cap >> 56 & 1 != 0,
            five_levels: cap >> 60 & 1 != 0,
            coherent: ecap & 1 != 0,
            queued_invalidation: ecap >> 1 & 1 != 0,
            device_tlbs: ecap >> 2 & 1 != 0,
            page_requests: ecap >> 29 & 1 != 0,
            pasid_bits: (ecap >> 35 & 0x1f) as u8 + 1,
            pasids: ecap >> 40 & 1 != 0,
            physical_functions: ecap >> 41 & 1 != 0,
            page_request_drain: ecap >> 42 & 1 != 0,
            scalable: ecap >> 43 & 1 != 0,
            first_stage: ecap >> 47 & 1 != 0,
            coherent_walks: ecap >> 48 & 1 != 0,
        }
    }
}
