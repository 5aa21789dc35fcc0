//! hello
#![cfg_attr(target_os = "none", no_std, no_main)]
#[cfg(target_os = "none")]
use on_target_powerpc as _;
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a bare-metal kernel: run `cargo xtask demo`");
}
