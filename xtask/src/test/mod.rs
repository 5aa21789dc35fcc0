//! Every test there is: on this machine, of the emitted machine code, and on the emulated machine.

mod embedded_test;
pub(crate) mod harness;
pub(crate) mod host;
mod on_target;
pub(crate) mod tally;

use std::process::ExitCode;

use anyhow::Result;
use tlb_shootdown_scenarios::Yardstick;

use crate::arch::Architecture;
use crate::demo::report;
use crate::{arch, demo, disasm, mutants, verify};
use tally::Tally;

/// Which parts to run; all of them where none is named.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests that run on the emulated machine.
    #[arg(long)]
    on_target: bool,
    /// Only the tests that run on this machine.
    #[arg(long, conflicts_with = "on_target")]
    host: bool,
    /// Only the tests with random kernels, a million operations each, optimized: for a night.
    #[arg(long, conflicts_with_all = ["on_target", "host"])]
    nightly: bool,
}

/// A part's name and what runs it.
type Part = (&'static str, fn() -> Tally);

const HOST: [Part; 6] = [
    ("host and doc tests", host::default_members),
    ("examples", host::examples),
    ("library with all features", host::all_features),
    ("interleavings under loom", host::loom),
    ("mistakes put back", mistakes),
    ("litmus", verify::litmus::run),
];

const NIGHTLY: [Part; 1] = [("random kernels", host::random_kernels)];

const ON_TARGET: [Part; 3] = [
    ("machine words", machine_words),
    ("on-target tests", on_target::run),
    ("demo", demo_cells),
];

/// Runs the tests and prints how many ran, failed and were skipped, and why.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for (name, part) in parts(options) {
        println!("== {name}");
        let tally = part();
        summary.push(format!("{name}: {}", tally.line()));
        total.add(tally);
    }
    if !options.on_target && !options.host && !options.nightly {
        for (_, demo) in arch::ALL.into_iter().flat_map(Architecture::demos) {
            let unproven = unproven(demo.yardstick, &total.names);
            total.failed.extend(unproven);
        }
    }
    println!("\n{}", summary.join("\n"));
    for why in &total.skipped {
        println!("skipped: {why}");
    }
    for why in &total.not_run {
        println!("not run: {why}");
    }
    for words in &total.said {
        println!("{words}");
    }
    for what in &total.failed {
        println!("FAILED: {what}");
    }
    let failed_by_skips = is_ci() && !total.skipped.is_empty();
    if failed_by_skips {
        println!("skipped tests count as failures here: CI is set");
    }
    println!("{}", total.line());
    Ok(if total.failed.is_empty() && !failed_by_skips {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Which parts these options name.
fn parts(options: &Options) -> Vec<Part> {
    match options {
        Options { nightly: true, .. } => NIGHTLY.to_vec(),
        Options { host: true, .. } => HOST.to_vec(),
        Options {
            on_target: true, ..
        } => ON_TARGET.to_vec(),
        _ => [&HOST[..], &ON_TARGET[..]].concat(),
    }
}

/// What the emulator cannot show must be shown by the named test of the model, and that test must have passed.
fn unproven(yardstick: &Yardstick, passed: &[String]) -> Vec<String> {
    let shown = |test: &str| {
        passed
            .iter()
            .any(|name| name.rsplit("::").next() == Some(test))
    };
    let missing = yardstick
        .unseen
        .iter()
        .filter(|unseen| !shown(unseen.shown_by));
    missing
        .map(|unseen| format!("demo: unseen, and no test {} passed", unseen.shown_by))
        .collect()
}

fn is_ci() -> bool {
    std::env::var_os("CI")
        .is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Each cell of the demo's tables counts as a test.
fn demo_cells() -> Tally {
    let mut tally = Tally::default();
    for arch in arch::ALL {
        match demo::emulated(arch) {
            Ok(parts) => tally.add(cells_of(arch, &parts)),
            Err(error) => tally.failed.push(format!("demo: {}: {error:#}", arch.name)),
        }
    }
    tally
}

fn cells_of(arch: &Architecture, parts: &[report::Part]) -> Tally {
    print!("{}", demo::table::render(arch, parts));
    let mut tally = Tally::default();
    for part in parts {
        if let Some(last_words) = part.last_words() {
            println!("{last_words}");
        }
        let faults = part.faults().into_iter();
        tally
            .failed
            .extend(faults.map(|fault| format!("demo: {fault}")));
        tally.passed += part.right();
        if part.is_a_stopgap() {
            let machine = part.machine().name;
            tally
                .skipped
                .push(format!("demo: {} {machine}: no emulator for it", arch.name));
        }
    }
    tally
}

/// Each mistake counts as a test, which passes where it was noticed.
pub(crate) fn mistakes() -> Tally {
    let outcomes = match mutants::outcomes(None) {
        Ok(outcomes) => outcomes,
        Err(error) => return Tally::failure(format!("mistakes: {error:#}")),
    };
    let mut tally = Tally::default();
    for outcome in outcomes {
        if outcome.verdict.is_caught() {
            tally.passed += 1;
        } else {
            let (name, verdict) = (outcome.mutant.defect, outcome.verdict);
            tally.failed.push(format!("mistakes: {name}: {verdict}"));
        }
    }
    tally
}

/// Each instruction method counts as a test.
fn machine_words() -> Tally {
    let findings = match disasm::compare() {
        Ok(findings) => findings,
        Err(error) => return Tally::failure(format!("machine words: {error:#}")),
    };
    let mut tally = Tally::default();
    for finding in findings {
        match finding.verdict {
            Ok(()) => tally.passed += 1,
            Err(why) => tally
                .failed
                .push(format!("machine words: {}: {why}", finding.name)),
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unseen_control_needs_its_test_on_the_model() {
        let yardstick = &Yardstick::AARCH64_SMMUV3_QEMU;
        let mut passed: Vec<_> = yardstick
            .unseen
            .iter()
            .map(|unseen| format!("tests::{}", unseen.shown_by))
            .collect();
        assert_eq!(unproven(yardstick, &passed), Vec::<String>::new());
        passed.pop();
        assert_eq!(unproven(yardstick, &passed).len(), 1);
    }
}
