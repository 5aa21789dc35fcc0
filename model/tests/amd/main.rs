//! The AMD IOMMU: each rule of the manual with the defect that shows when it is broken.

mod configuration;
mod device_tlbs;
mod errors;
mod invalidating;
mod lost;
mod queue;
mod rig;
