//! Says that all CPUs are there.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    use core::fmt::Write;
    use on_target_x86_64::console::Console;
    use on_target_x86_64::cpus;
    use on_target_x86_64::exit::{End, exit};

    #[unsafe(no_mangle)]
    extern "C" fn main() -> ! {
        let _ = writeln!(Console, "hello");
        cpus::start();
        for cpu in 0..cpus::COUNT {
            assert_eq!(cpus::run_on(cpu, cpus::current), cpu);
        }
        let _ = writeln!(Console, "all up");
        exit(End::Well)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a bare-metal kernel: run `cargo xtask demo`");
}
