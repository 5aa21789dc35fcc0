//! A bare-metal AArch64 kernel that shows and cures stale translations, under QEMU's `virt` machine with an SMMUv3.
//!
//! Every binary and every test image defines `main`, which runs on CPU 0 in the upper half with MMU, console and
//! exception vectors set up; the other CPUs are started by [`cpus::start`] and then do what they are asked to.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

mod boot;
mod boot_tables;
pub mod broken;
pub mod clock;
pub mod console;
pub mod cpus;
mod descriptor;
pub mod device;
mod exception_frame;
mod exceptions;
pub mod exit;
pub mod kernel_half;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod pci;
pub mod platform;
pub mod probe;
pub mod process;
mod psci;
pub mod smmu;
