//! The demo: stale translations shown and cured, as a table.

mod model;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod table;

use std::process::ExitCode;

use anyhow::Result;

use crate::setup::rust_src::{self, AARCH64};
use crate::setup::{Missing, Qemu, qemu};
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
    /// Show the table on the software model instead of an emulated machine.
    #[arg(long)]
    model: bool,
}

/// The architectures that have an on-target kernel.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Arch {
    Aarch64,
}

/// The status where the table had to be shown on the model because there is no emulator: neither success nor failure.
const ON_MODEL_INSTEAD: u8 = 3;

/// Shows the table; success where every cell is as it must be.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Arch::Aarch64 = options.arch;
    let (report, right) = if options.model {
        (model::play(), ExitCode::SUCCESS)
    } else {
        match emulator() {
            Ok(qemu) => (run::boot(&qemu)?, ExitCode::SUCCESS),
            Err(missing) => {
                eprintln!("{missing}");
                eprintln!("shown on the software model instead, which is no emulated machine:");
                (model::play(), ExitCode::from(ON_MODEL_INSTEAD))
            }
        }
    };
    print(&report, options.json)?;
    Ok(if report.faults().is_empty() {
        right
    } else {
        ExitCode::FAILURE
    })
}

/// QEMU, where a kernel can be built for it as well.
fn emulator() -> Result<Qemu, Missing> {
    rust_src::find_or_fetch(AARCH64)?;
    qemu::find_or_fetch()
}

/// The cells on standard output, everything that is wrong on standard error.
fn print(report: &Report, as_json: bool) -> Result<()> {
    if as_json {
        print!("{}", report.json()?);
    } else {
        print!("{}", table::render(report));
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
