//! Plays every case to every observer, prints each cell as a serial line, and ends with status 0 where every verdict is
//! right.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    use core::fmt::Write;

    use on_target_powerpc::console::Console;
    use on_target_powerpc::exit::{End, exit};
    use on_target_powerpc::machine::Emulated;
    use tlb_shootdown_scenarios::{Case, Machine, Observer, run, verdict};

    /// Entered by the boot code, on CPU 0.
    #[unsafe(no_mangle)]
    extern "C" fn main() -> ! {
        let mut machine = Emulated::new()
            .unwrap_or_else(|broken| panic!("the machine did not come up: {broken:?}"));
        let mut wrong = 0_u32;
        for case in Case::ALL {
            for &observer in machine.yardstick().observers {
                wrong += u32::from(!is_right(&mut machine, case, observer));
            }
        }
        exit(if wrong == 0 { End::Well } else { End::Wrong })
    }

    fn is_right(machine: &mut Emulated, case: Case, observer: Observer) -> bool {
        // The console takes everything.
        let mut out = Console;
        let cell = match run(machine, case, observer) {
            Ok(cell) => cell,
            Err(failure) => {
                let _ = writeln!(out, "{case:?} as {observer:?} sees it: {failure}");
                return false;
            }
        };
        let _ = cell.print(&mut out);
        match verdict(&cell, machine.yardstick()) {
            Ok(()) => true,
            Err(wrong) => {
                let _ = writeln!(out, "{case:?} as {observer:?} sees it: {wrong}");
                false
            }
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a bare-metal kernel: run `cargo xtask demo`");
}
