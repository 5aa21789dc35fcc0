//! Booting one kernel by hand, and the environment to do more than that.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::arch::{self, Architecture};
use crate::setup::{qemu, rust_src};
use crate::{kernel, process};

/// Which kernel to boot, where, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The architecture.
    #[arg(long, value_parser = arch::parser(), default_value = "aarch64")]
    arch: &'static Architecture,
    /// The machine, where there is more than one: its IOMMU or its board.
    #[arg(long, visible_alias = "iommu")]
    machine: Option<String>,
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
    let arch = options.arch;
    let machine = match &options.machine {
        Some(name) => arch.machine(name),
        None => arch.machines.first(),
    };
    let machine = machine.context("no such machine")?;
    let elf = match &options.elf {
        Some(elf) => elf.clone(),
        None => kernel::build_bin(arch, &options.bin)?,
    };
    let qemu = qemu::find_or_fetch(arch.emulator)?;
    let mut command = arch
        .boot(machine, &qemu, &elf, &[])
        .map_err(|lacking| anyhow!(lacking))?;
    command.args(&options.qemu);
    let limit = Duration::from_secs(options.limit);
    let ended = process::capture_lines(&mut command, limit, |line| println!("{line}"))?;
    eprint!("{}", ended.stderr);
    match ended.status {
        Some(status) if arch.ends.which(status, &ended.stdout) == Some(arch.ends.well) => {
            Ok(ExitCode::SUCCESS)
        }
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

/// Which environment to print.
#[derive(clap::Args)]
pub(crate) struct Environment {
    /// The architecture.
    #[arg(long, value_parser = arch::parser(), default_value = "aarch64")]
    arch: &'static Architecture,
}

/// Prints shell lines that define `QEMU` and the variables and arguments of a bare-metal cargo build.
pub(crate) fn print_environment(options: &Environment) -> Result<()> {
    let arch = options.arch;
    let core = rust_src::find_or_fetch(arch.target)?;
    for (name, value) in core.environment() {
        println!("export {name}='{}'", value.display());
    }
    println!(
        "export BARE_METAL_ARGS='--target {} {}'",
        arch.target,
        core.build_std(arch.target).join(" ")
    );
    let qemu = qemu::find_or_fetch(arch.emulator)?;
    let command = qemu.command();
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy().into_owned();
        println!("export {}='{value}'", name.to_string_lossy());
    }
    println!("export QEMU='{}'", process::shown(&command));
    Ok(())
}
