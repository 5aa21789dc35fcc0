//! Finding what the on-target builds need, or fetching it beside the system.

mod apt;
mod cache;
mod progress;
pub(crate) mod qemu;
pub(crate) mod rust_src;

use anyhow::{Result, bail};

pub(crate) use qemu::Qemu;

/// Something that this machine lacks and that could not be fetched either: one line saying what to install.
#[derive(Debug)]
pub(crate) struct Missing {
    what: &'static str,
    install: String,
    cause: anyhow::Error,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The cause may be many lines of another program's; the last one names the trouble.
        let cause = format!("{:#}", self.cause);
        let cause = cause.lines().next_back().unwrap_or_default();
        write!(
            f,
            "no {} to be had here ({cause}): {}",
            self.what, self.install
        )
    }
}

impl std::error::Error for Missing {}

/// Finds or fetches everything and says what will be used.
pub(crate) fn run(refresh: bool) -> Result<()> {
    if refresh {
        let folder = cache::folder()?;
        cache::locked(&folder, || {
            qemu::forget(&folder)?;
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
    match qemu::find_or_fetch() {
        Ok(qemu) => println!("qemu: {qemu}"),
        Err(error) => missing.push(error.to_string()),
    }
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    Ok(())
}
