//! hello
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]
mod boot;
pub mod console;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
