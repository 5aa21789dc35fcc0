//! What tests on this machine show of the library: each property with the number of cases in which it was tried.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::test::harness::{amounts, parse};
use crate::test::host::{A_NIGHT, LIMIT, NIGHT};
use crate::test::tally::Tally;
use crate::{artifacts, process, workspace};

/// The library on recorders, on scripted devices and on the software machine; and that machine itself, whose programs have the library's names.
const PACKAGES: [(&str, &str); 2] = [("tlb-shootdown", ""), ("tlb-shootdown-model", "model/")];

/// As many cases as every run of the tests has.
pub(super) fn run() -> Tally {
    all(&[], LIMIT, |_| {})
}

/// Random kernels of a million operations, and explorations that go further; optimized.
pub(super) fn run_long() -> Tally {
    all(&["--release"], A_NIGHT, |test| {
        test.env(NIGHT.0, NIGHT.1);
    })
}

fn all(options: &[&str], limit: Duration, set: impl Fn(&mut Command)) -> Tally {
    let mut tally = Tally::default();
    for (package, folder) in PACKAGES {
        let programs = match programs(package, options) {
            Ok(programs) => programs,
            Err(error) => return Tally::failure(format!("properties: {error:#}")),
        };
        for program in programs {
            let tried = tried(&program, folder, limit, &set);
            tally.add(tried.unwrap_or_else(|error| {
                Tally::failure(format!("properties: {}: {error:#}", program.display()))
            }));
        }
    }
    tally
}

/// The unit and integration tests of one package.
fn programs(package: &str, options: &[&str]) -> Result<Vec<PathBuf>> {
    let build = |what: &str, kind: &str| {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--no-run", "--package", package, what]);
        artifacts::executables(cargo.args(options), kind)
    };
    let mut programs = build("--lib", "lib")?;
    programs.extend(build("--tests", "test")?);
    Ok(programs)
}

/// Runs one program, and prints one line for each of its properties.
fn tried(
    program: &Path,
    folder: &str,
    limit: Duration,
    set: impl Fn(&mut Command),
) -> Result<Tally> {
    let name = format!("{folder}{}", name(program)?);
    let mut test = Command::new(program);
    test.arg("--show-output").current_dir(workspace::root());
    set(&mut test);
    let ended = process::capture(&mut test, limit)?;
    for line in amounts(&ended.stdout) {
        println!("{name}{line}");
    }
    let mut tally = parse(&name, &ended.stdout);
    if tally.failed.is_empty() && !ended.success() {
        let why = ended.stderr.trim();
        tally
            .failed
            .push(format!("{name}: did not end well: {why}"));
    }
    Ok(tally)
}

/// The file's name without cargo's hash.
fn name(program: &Path) -> Result<String> {
    let stem = program.file_stem().context("a program has a name")?;
    let stem = stem.to_string_lossy();
    let name = stem.rsplit_once('-').map_or(&*stem, |(name, _)| name);
    Ok(name.to_owned())
}
