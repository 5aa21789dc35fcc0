//! The demo: stale translations shown and cured, as a table for each architecture.

mod model;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod table;

use std::process::ExitCode;

use anyhow::Result;

use crate::arch::{self, Architecture, Demo, Machine};
use crate::setup::{Missing, Qemu, qemu, rust_src};
use report::{Part, Report};

/// What to show, where, in which form.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The architecture; all of them, one table each, where none is named.
    #[arg(long, value_parser = arch::parser())]
    arch: Option<&'static Architecture>,
    /// Print one JSON object per cell instead of tables.
    #[arg(long)]
    json: bool,
    /// Show the tables on the software model instead of emulated machines.
    #[arg(long)]
    model: bool,
}

/// The status where something had to be shown on the model, or not at all, because there is no emulator for it: neither
/// success nor failure.
const NOT_EMULATED: u8 = 3;

/// Shows the tables; success where every cell is as it must be.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let chosen = options.arch.map_or(arch::ALL.to_vec(), |one| vec![one]);
    let mut shown = Vec::new();
    for (index, arch) in chosen.into_iter().enumerate() {
        let parts = if options.model {
            on_model(arch)
        } else {
            emulated(arch)?
        };
        if index > 0 && !options.json {
            println!();
        }
        print(arch, &parts, options.json)?;
        shown.extend(parts);
    }
    Ok(status(&shown))
}

fn status(parts: &[Part]) -> ExitCode {
    if parts.iter().any(|part| !part.faults().is_empty()) {
        ExitCode::FAILURE
    } else if parts.iter().any(Part::is_a_stopgap) {
        ExitCode::from(NOT_EMULATED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Every machine on the emulator; those that it lacks, on the model, and beside the others what their IOMMU lacks.
pub(crate) fn emulated(arch: &'static Architecture) -> Result<Vec<Part>> {
    let emulator = emulator(arch);
    let mut parts = Vec::new();
    for (machine, demo) in arch.demos() {
        let booted = match &emulator {
            Ok(qemu) => run::boot(arch, machine, demo, qemu)?,
            Err(missing) => Err(missing.to_string()),
        };
        match booted {
            Ok(report) => {
                parts.push(Part::Played(report));
                parts.extend(model::beside(arch, machine, demo).map(Part::Played));
            }
            Err(lacking) => parts.push(instead(arch, machine, demo, lacking)),
        }
    }
    Ok(parts)
}

/// QEMU, where a kernel can be built for it as well.
fn emulator(arch: &Architecture) -> Result<Qemu, Missing> {
    rust_src::find_or_fetch(arch.target)?;
    qemu::find_or_fetch(arch.emulator)
}

fn instead(
    arch: &'static Architecture,
    machine: &'static Machine,
    demo: &'static Demo,
    lacking: String,
) -> Part {
    eprintln!("{lacking}");
    match model::play(arch, machine, demo) {
        Some(report) => {
            eprintln!("shown on the software model instead, which is no emulated machine:");
            Part::Played(Report {
                instead: true,
                ..report
            })
        }
        None => Part::NotRun {
            machine,
            why: lacking,
        },
    }
}

fn on_model(arch: &'static Architecture) -> Vec<Part> {
    let parts = arch.demos().map(|(machine, demo)| {
        let played = model::play(arch, machine, demo);
        played.map_or_else(
            || Part::NotRun {
                machine,
                why: "the software model has no such machine".into(),
            },
            Part::Played,
        )
    });
    parts.collect()
}

/// The cells on standard output, everything that is wrong on standard error.
fn print(arch: &Architecture, parts: &[Part], as_json: bool) -> Result<()> {
    if as_json {
        for part in parts {
            print!("{}", part.json()?);
        }
    } else {
        print!("{}", table::render(arch, parts));
    }
    for part in parts {
        for fault in part.faults() {
            eprintln!("wrong: {fault}");
        }
        if let Some(last_words) = part.last_words() {
            eprintln!("the machine's last words:\n{last_words}");
        }
    }
    Ok(())
}
