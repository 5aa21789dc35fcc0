//! Booting one kernel by hand, and the environment to do more than that.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::setup::qemu;
use crate::setup::rust_src::{self, AARCH64};
use crate::{kernel, machine, process};

/// Which kernel to boot, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The binary of the kernel package.
    #[arg(long, default_value = "demo")]
    bin: String,
    /// An ELF file to boot instead.
    #[arg(long, conflicts_with = "bin")]
    elf: Option<PathBuf>,
    /// The limit in seconds of wall-clock time.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Further arguments for QEMU.
    #[arg(last = true)]
    qemu: Vec<String>,
}

/// Builds and boots a kernel, its serial line on our standard output.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let elf = match &options.elf {
        Some(elf) => elf.clone(),
        None => kernel::build_bin(&options.bin)?,
    };
    let mut command = machine::boot(&qemu::find_or_fetch()?, &elf, &[]);
    command.args(&options.qemu);
    let limit = Duration::from_secs(options.limit);
    let ended = process::capture_lines(&mut command, limit, |line| println!("{line}"))?;
    eprint!("{}", ended.stderr);
    match ended.status {
        Some(status) if status.success() => Ok(ExitCode::SUCCESS),
        Some(status) => {
            eprintln!("QEMU ended with {status}");
            Ok(ExitCode::FAILURE)
        }
        None => {
            eprintln!("stopped after {} s", options.limit);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints shell lines that define `QEMU` and the variables and arguments of a bare-metal cargo build.
pub(crate) fn print_environment() -> Result<()> {
    let core = rust_src::find_or_fetch(AARCH64)?;
    for (name, value) in core.environment() {
        println!("export {name}='{}'", value.display());
    }
    println!(
        "export BARE_METAL_ARGS='--target {AARCH64} {}'",
        core.build_std().join(" ")
    );
    let qemu = qemu::find_or_fetch()?;
    let command = qemu.command();
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy().into_owned();
        println!("export {}='{value}'", name.to_string_lossy());
    }
    println!("export QEMU='{}'", process::shown(&command));
    Ok(())
}
