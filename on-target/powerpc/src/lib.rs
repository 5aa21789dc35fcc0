//! A bare-metal POWER kernel that shows and cures stale translations, under QEMU: on machines `powernv9` and `powernv10`, of
//! which it is the only software, and on machine `pseries` as a guest.
//!
//! Every binary and every test image defines `main`, which runs on CPU 0 in quadrant 3 with radix translation, console and
//! interrupts set up; the other CPUs are started by [`cpus::start`] and then do what they are asked to.
//!
//! It is started at its first byte by the firmware of `pseries`, which has loaded the ELF file, and 16 bytes further where a flat image
//! of it is all the firmware there is. Its words (`run_addr ADDRESS` for a test) stand at [`layout::WORDS`] in memory, and it ends as
//! [`exit::End`] says:
//!
//! ```text
//! qemu-system-ppc64 [-M powernv9 -smp 4,cores=4,threads=1 -m 1G -bios FLAT_IMAGE
//!     | -M pseries,x-vof=on,kernel-addr=0x10000000,ic-mode=xics -smp 4 -m 512 -nodefaults -vga none -kernel IMAGE]
//!     -accel tcg,thread=single -icount shift=7,sleep=off -nographic -monitor none -serial stdio -net none
//!     -action panic=exit-failure [-device loader,addr=ADDRESS,data=WORD,data-len=8 ...]
//! ```
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

mod boot;
mod boot_tables;
pub mod cells;
pub mod clock;
pub mod console;
pub mod cpus;
mod doorbell;
mod entry;
mod exception_frame;
mod exceptions;
pub mod exit;
mod hosting;
mod hypercall;
pub mod interrupts;
pub mod kernel_half;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod platform;
mod ports;
pub mod probe;
pub mod process;
mod rtas;
mod spr;
mod translation;
pub mod tree;
mod words;
