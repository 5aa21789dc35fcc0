//! An AMD IOMMU that takes every liberty the manual gives it (AMD 48882).
//!
//! It works on polls and steps alone, never inside a doorbell write. The head of the command buffer moves when a command is fetched,
//! which says nothing of its completion; between two COMPLETION_WAITs commands are unordered, and a wait without its flush bit holds
//! back nothing that follows it. Completion is the store of a COMPLETION_WAIT, after everything before it.

mod access;
mod command;
mod device;
mod device_table;
mod event;
mod event_log;
mod gcr3;
mod iommu;
mod options;
mod port;
mod queue;
mod registers;
mod request;
mod translate;
mod work;

pub use device::{DeviceFault, DeviceOptions};
pub(crate) use iommu::Iommu;
pub use options::AmdOptions;
pub use port::{AmdPort, DevicePort};
