//! What is proven rather than tried.

pub(crate) mod litmus;
mod properties;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::fuzz;
use crate::mutants::generated;
use crate::test::tally::Tally;
use crate::test::{host, mistakes};

/// Which parts, and how thoroughly.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Everything that there is, for hours where a part can use them.
    #[arg(long)]
    long: bool,
    /// One part alone: properties, loom, litmus, mutants, generated, fuzz.
    #[arg(long, value_name = "PART", value_parser = PARTS.map(|part| part.name))]
    only: Option<String>,
    /// Write the litmus tests anew from what the library emits, and ask nobody.
    #[arg(long, conflicts_with_all = ["long", "only"])]
    bless: bool,
}

/// One way of proving.
struct Part {
    name: &'static str,
    short: fn() -> Tally,
    long: fn() -> Tally,
}

const PARTS: [Part; 6] = [
    Part {
        name: "properties",
        short: properties::run,
        long: properties::run_long,
    },
    Part {
        name: "loom",
        short: host::loom,
        long: host::loom_at_length,
    },
    Part {
        name: "litmus",
        short: litmus::run,
        long: litmus::run_long,
    },
    Part {
        name: "mutants",
        short: mistakes,
        long: mistakes,
    },
    Part {
        name: "generated",
        short: generated::short,
        long: generated::long,
    },
    Part {
        name: "fuzz",
        short: || fuzzed(60),
        long: || fuzzed(2 * 60 * 60),
    },
];

/// No input was found in so many seconds.
fn fuzzed(seconds: u64) -> Tally {
    match fuzz::run(seconds) {
        Ok(()) => Tally {
            passed: 1,
            ..Tally::default()
        },
        Err(error) => Tally::failure(format!("fuzz: {error:#}")),
    }
}

/// Runs the parts and prints what they found; failure where anything was missed or could not be asked.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.bless {
        let properties = tlb_shootdown_litmus::properties()?;
        let folder = tlb_shootdown_litmus::committed::folder();
        tlb_shootdown_litmus::committed::write(&folder, &properties)
            .context("cannot write the litmus tests")?;
        println!("written: {}", folder.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut total = Tally::default();
    let is_wanted = |part: &&Part| {
        let only = options.only.as_deref();
        only.is_none_or(|only| only == part.name)
    };
    for part in PARTS.iter().filter(is_wanted) {
        println!("== {}", part.name);
        let tally = if options.long { part.long } else { part.short }();
        println!("{}: {}", part.name, tally.line());
        total.add(tally);
    }
    for why in total.skipped.iter().chain(&total.not_run) {
        println!("not run: {why}");
    }
    for words in &total.said {
        println!("{words}");
    }
    for what in &total.failed {
        println!("FAILED: {what}");
    }
    let complete = total.failed.is_empty() && total.skipped.is_empty() && total.not_run.is_empty();
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
