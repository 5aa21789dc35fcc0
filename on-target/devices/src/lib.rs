//! QEMU's PCI devices that do DMA, as kernels of every architecture drive them.
#![no_std]

mod edu;
mod function;
mod testdev;

pub use edu::{Edu, Stuck};
pub use function::{Function, Ids, WaitUntil};
pub use testdev::{TestDevice, Written};
