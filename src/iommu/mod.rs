//! The IOMMUs that this crate can drive, each an implementor of [`SecondaryTlb`](crate::secondary::SecondaryTlb).
//!
//! | | driver |
//! |---|---|
//! | Arm SMMUv3 | [`smmuv3::Smmu`] |
//! | Intel VT-d in scalable mode | [`vtd::Vtd`] |
//! | AMD IOMMU | [`amd::Iommu`] |
//! | OpenCAPI on POWER | [`ocxl::Link`] |
//!
//! All are used alike: made with registers and memory, brought up, told of devices; an address space is reserved a place, attached in the
//! engine, and installed.

pub mod amd;
mod block;
mod device_bit;
pub(crate) mod memory;
pub mod ocxl;
mod pending;
pub(crate) mod ring;
pub mod smmuv3;
mod spaces;
#[cfg(test)]
mod test_memory;
pub mod vtd;
mod wait;
