//! Finding what the on-target builds need, or fetching it beside the system.

mod apt;
mod cache;
pub(crate) mod cargo_mutants;
pub(crate) mod herd;
mod missing;
mod progress;
pub(crate) mod qemu;
pub(crate) mod rust_src;

use anyhow::{Result, bail};

pub(crate) use missing::Missing;
pub(crate) use qemu::Qemu;

/// Finds or fetches everything and says what will be used.
pub(crate) fn run(refresh: bool) -> Result<()> {
    if refresh {
        let folder = cache::folder()?;
        cache::locked(&folder, || {
            qemu::forget(&folder)?;
            herd::forget(&folder)?;
            cargo_mutants::forget(&folder)?;
            rust_src::forget(&folder)
        })?;
    }
    // One missing thing does not hide another.
    let mut missing = Vec::new();
    for target in rust_src::TARGETS {
        match rust_src::find_or_fetch(target) {
            Ok(core) => println!("core for {target}: {core}"),
            Err(error) => missing.push(error.to_string()),
        }
    }
    for emulator in qemu::EMULATORS {
        match qemu::find_or_fetch(emulator) {
            Ok(qemu) => println!("{}: {qemu}", emulator.program),
            Err(error) => missing.push(error.to_string()),
        }
    }
    // Not needed for what follows, so that nothing fails for want of it.
    match herd::find_or_fetch() {
        Ok(herd) => println!("herd7: {}", herd.version),
        Err(error) => println!("{error}; litmus tests are not judged"),
    }
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    Ok(())
}
