//! Litmus tests of the emitted AArch64 sequences, judged by herd7 with Arm's model.

mod answer;
mod models;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tlb_shootdown_litmus::{Property, Test, committed, properties};

use crate::setup::herd;
use crate::test::tally::Tally;
use crate::{process, workspace};
use answer::Answer;
use models::Models;

/// A test takes a tenth of a second.
const LIMIT: Duration = Duration::from_secs(30);

/// The model of today's CPUs.
pub(crate) fn run() -> Tally {
    judged(&[""])
}

/// The same, and that of CPUs with FEAT_ETS2, on which every sequence that is right must be right as well.
pub(crate) fn run_long() -> Tally {
    judged(&["", ",ets2"])
}

fn judged(variants: &[&str]) -> Tally {
    all(variants).unwrap_or_else(|error| Tally::failure(format!("litmus: {error:#}")))
}

fn all(variants: &[&str]) -> Result<Tally> {
    let properties = properties()?;
    let mut tally = Tally::default();
    let drift = committed::differences(&committed::folder(), &properties)?;
    let drift = drift.into_iter();
    tally
        .failed
        .extend(drift.map(|what| format!("litmus: not as committed: {what}")));
    let herd = match herd::find_or_fetch() {
        Ok(herd) => herd,
        Err(missing) => {
            println!("not run: {missing}");
            tally.not_run.push(format!("litmus: {missing}"));
            return Ok(tally);
        }
    };
    println!("herd7 {}", herd.version);
    let herd = Models::of(herd, &workspace::target_dir().join("litmus-models"))?;
    // What is asked about is what the library emits now, whatever is committed.
    let folder = workspace::target_dir().join("litmus");
    committed::write(&folder, &properties)?;
    for variant in variants {
        for property in &properties {
            tally.add(ask_all(&herd, &folder, variant, property));
        }
    }
    Ok(tally)
}

/// One line for the property.
fn ask_all(herd: &Models, folder: &Path, variant: &str, property: &Property) -> Tally {
    let next = AtomicUsize::new(0);
    let ask_next = || -> Vec<Option<String>> {
        let mut mismatches = Vec::new();
        while let Some(test) = property.tests.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A stronger machine may forbid what a twin's flaw allows on others.
            let is_asked =
                variant.is_empty() || test.expected == tlb_shootdown_litmus::Verdict::Never;
            if is_asked {
                mismatches.push(mismatch(herd, folder, variant, test));
            }
        }
        mismatches
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mismatches: Vec<_> = thread::scope(|scope| {
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(ask_next)).collect();
        let ended = started.into_iter();
        ended
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| vec![Some("a worker panicked".into())])
            })
            .collect()
    });
    let asked = mismatches.len();
    let failed: Vec<_> = mismatches.into_iter().flatten().collect();
    let passed = asked - failed.len();
    println!(
        "{}{variant}: {passed} of {asked} as expected: {}",
        property.name, property.claim
    );
    Tally {
        passed: passed as u64,
        failed: failed
            .into_iter()
            .map(|what| format!("litmus: {what}"))
            .collect(),
        ..Tally::default()
    }
}

/// What is not as expected, if anything.
fn mismatch(herd: &Models, folder: &Path, variant: &str, test: &Test) -> Option<String> {
    let name = test.name();
    let expected = test.expected;
    match ask(herd, folder, variant, test) {
        Ok(Answer::Verdict(verdict)) if verdict == expected => None,
        Ok(answer) => Some(format!(
            "{name}{variant}: expected {expected}, herd7 {}: {answer}",
            herd.version()
        )),
        Err(error) => Some(format!("{name}{variant}: {error:#}")),
    }
}

fn ask(herd: &Models, folder: &Path, variant: &str, test: &Test) -> Result<Answer> {
    let mut command = herd.command(test.model);
    if let Some(more) = variant.strip_prefix(',') {
        command.args(["-variant", more]);
    }
    let file = folder.join(test.path());
    let ended = process::capture(command.arg(&file), LIMIT)?;
    Ok(match ended.status {
        None => Answer::TooLong,
        Some(_) => answer::read(&test.name(), &ended.stdout, &ended.stderr),
    })
}
