//! The demo: stale translations shown and cured, as a table.

pub(crate) mod report;
pub(crate) mod run;
mod table;

use std::process::ExitCode;

use anyhow::Result;

use crate::setup::qemu;
use report::Report;

/// What to show, where, in which form.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The architecture of the emulated machine.
    #[arg(long, value_enum, default_value_t = Arch::Aarch64)]
    arch: Arch,
    /// Print one JSON object per cell instead of the table.
    #[arg(long)]
    json: bool,
}

/// The architectures that have an on-target kernel.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Arch {
    Aarch64,
}

/// Shows the table; success where every cell is as it must be.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Arch::Aarch64 = options.arch;
    let report = run::boot(&qemu::find_or_fetch()?)?;
    print(&report, options.json)?;
    Ok(if report.faults().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The cells on standard output, everything that is wrong on standard error.
fn print(report: &Report, as_json: bool) -> Result<()> {
    if as_json {
        print!("{}", report.json()?);
    } else {
        print!("{}", report.table());
    }
    let faults = report.faults();
    for fault in &faults {
        eprintln!("wrong: {fault}");
    }
    if !faults.is_empty() && !report.last_words.is_empty() {
        eprintln!("the machine's last words:\n{}", report.last_words);
    }
    Ok(())
}
