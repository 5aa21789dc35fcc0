//! An SMMUv3 that takes every liberty the manual gives it (Arm IHI 0070).
//!
//! It works on polls and steps alone, never inside a doorbell write. Commands between two CMD_SYNCs are unordered, consumption
//! means nothing, and completion is the consumption of a CMD_SYNC.

mod access;
mod command;
mod config;
mod device;
mod event;
mod options;
mod port;
mod queue;
mod registers;
mod request;
mod smmu;
mod translate;
mod work;

pub use device::{DeviceFault, DeviceOptions};
pub use options::SmmuOptions;
pub use port::{DevicePort, SmmuPort};
pub(crate) use smmu::Smmu;
