//! A bare-metal x86-64 kernel that shows and cures stale translations, under QEMU's `q35` machine with a VT-d or an AMD
//! IOMMU.
//!
//! Every binary and every test image defines `main`, which runs on CPU 0 in the upper half with MMU, console, interrupts and
//! exception vectors set up; the other CPUs are started by [`cpus::start`] and then do what they are asked to.
//!
//! It is started by its PVH note, its words (`run_addr ADDRESS` for a test) by `-append`, and ends as [`exit::End`] says:
//!
//! ```text
//! qemu-system-x86_64 -M q35 -bios qboot.rom -cpu max -smp 4 -m 512 -accel tcg,thread=single -icount shift=7,sleep=off
//!     -nographic -monitor none -serial stdio -net none -no-reboot
//!     -device isa-debug-exit,iobase=0xf4,iosize=4 -device edu,dma_mask=0xffffffffffffffff -device iommu-testdev
//!     [-device intel-iommu,scalable-mode=on,fsts=on,pasid-bits=20 | -device amd-iommu,dma-remap=on]
//!     -kernel IMAGE [-append 'run_addr ADDRESS']
//! ```
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

mod amd;
mod apic;
mod boot;
mod boot_tables;
pub mod broken;
pub mod cells;
pub mod clock;
pub mod console;
pub mod cpus;
pub mod device;
mod dma_memory;
mod domain_table;
mod entry;
mod exception_frame;
mod exceptions;
pub mod exit;
pub mod fault;
mod hosting;
pub mod interrupts;
mod iommu;
pub mod kernel_half;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod pci;
pub mod platform;
mod port;
pub mod probe;
pub mod process;
pub mod sharing;
mod trampoline;
mod vtd;
mod words;
