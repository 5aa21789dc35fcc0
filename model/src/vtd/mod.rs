//! A VT-d unit in scalable mode that takes every liberty the manual gives it (Intel VT-d Architecture Specification, revision 4).
//!
//! It works on polls and steps alone, never inside the write of the tail. Descriptors between two waits are unordered, the head says
//! what was fetched and nothing else, and completion is the status that a wait descriptor writes. Processes' tables are its first
//! stage; it has no second.

mod access;
mod command;
mod config;
mod device;
mod fault;
mod options;
mod port;
mod queue;
mod registers;
mod request;
mod translate;
mod unit;
mod view;
mod work;

pub use device::{DeviceFault, DeviceOptions};
pub use options::VtdOptions;
pub use port::{DevicePort, VtdPort};
pub(crate) use unit::Vtd;
