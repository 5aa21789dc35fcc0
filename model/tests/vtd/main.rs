//! The VT-d unit: each rule of the manual with the defect that shows when it is broken. Descriptors are written by hand.

mod configuration;
mod device_tlbs;
mod errors;
mod invalidating;
mod lost;
mod memory;
mod queue;
mod reserved;
mod rig;
mod walking;
