//! The whole library on the model: engine, AArch64, SMMUv3 and mailbox, judged by the oracle.

mod bounds;
mod devices;
mod exploration;
#[path = "../support/explored_kernel/mod.rs"]
mod explored_kernel;
mod faulty;
mod iommu;
mod machine;
mod mailbox;
mod own;
mod properties;
#[path = "../support/property.rs"]
mod property;
#[path = "../support/random_kernel/mod.rs"]
mod random_kernel;
mod rig;
mod smmu_devices;
mod stand_in;
#[path = "../support/translation.rs"]
mod translation;
