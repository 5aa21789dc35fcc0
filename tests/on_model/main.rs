//! The whole library on the model: engine, AArch64, SMMUv3 and mailbox, judged by the oracle.

mod bounds;
mod devices;
mod faulty;
mod iommu;
mod mailbox;
mod properties;
mod rig;
mod stand_in;
#[path = "../support/translation.rs"]
mod translation;
