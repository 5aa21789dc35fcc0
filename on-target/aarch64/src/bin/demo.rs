//! Plays every case to every observer, prints each cell as a serial line, and ends well where every verdict is
//! right.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    use on_target_aarch64::console::Console;
    use on_target_aarch64::exit::exit;
    use on_target_aarch64::machine::Emulated;
    use tlb_shootdown_scenarios::show;

    /// Entered by the boot code, on CPU 0.
    #[unsafe(no_mangle)]
    extern "C" fn main() -> ! {
        let mut machine = Emulated::new()
            .unwrap_or_else(|broken| panic!("the machine did not come up: {broken:?}"));
        let wrong = show(&mut machine, &mut Console).expect("the console takes everything");
        exit(u64::from(wrong.min(1)))
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a bare-metal kernel: run `cargo xtask demo`");
}
