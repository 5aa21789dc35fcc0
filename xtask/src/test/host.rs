//! The tests that cargo runs on this machine.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::test::harness::{FILTERED_OUT, amounts, parse};
use crate::test::tally::Tally;
use crate::{process, workspace};

/// A cold build of everything for the host, and the tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What is started in the evening has ended by then.
pub(crate) const A_NIGHT: Duration = Duration::from_secs(8 * 60 * 60);

/// Unit, integration and doc tests of every default member.
pub(crate) fn default_members() -> Tally {
    cargo_test("host", workspace::cargo().args(["test", "--no-fail-fast"]))
}

/// Every example, which ends well where the machine under it has nothing to object to.
pub(crate) fn examples() -> Tally {
    let names = match example_names() {
        Ok(names) => names,
        Err(error) => return Tally::failure(format!("examples: {error:#}")),
    };
    let mut tally = Tally::default();
    for name in names {
        let mut cargo = workspace::cargo();
        cargo.args([
            "run",
            "--quiet",
            "--package",
            "tlb-shootdown",
            "--example",
            &name,
        ]);
        match process::capture(&mut cargo, LIMIT) {
            Ok(ended) if ended.success() => tally.passed += 1,
            Ok(ended) => tally
                .failed
                .push(format!("examples: {name}: {}", ended.stderr.trim())),
            Err(error) => tally.failed.push(format!("examples: {name}: {error:#}")),
        }
    }
    tally
}

fn example_names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(workspace::root().join("examples"))? {
        let path = file?.path();
        if let (Some(stem), true) = (path.file_stem(), path.is_file()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The library with every optional feature: its logging and formatting implementations are tested nowhere else.
pub(crate) fn all_features() -> Tally {
    let package = ["--package", "tlb-shootdown", "--all-features"];
    let mut cargo = workspace::cargo();
    cargo_test(
        "all features",
        cargo
            .args(["test", "--no-fail-fast", "--tests"])
            .args(package),
    )
}

/// Where it is set, the models of two CPUs that have too many orders for every run are explored whole.
const LOOM_AT_LENGTH: &str = "TLB_LOOM_AT_LENGTH";

/// The interleaving tests, the library's module `loom_tests`, under loom's own atomics.
pub(crate) fn loom() -> Tally {
    interleavings(&mut workspace::cargo(), LIMIT)
}

/// As [`loom`], with no bound for two CPUs at all.
pub(crate) fn loom_at_length() -> Tally {
    interleavings(workspace::cargo().env(LOOM_AT_LENGTH, "1"), A_NIGHT)
}

fn interleavings(cargo: &mut std::process::Command, limit: Duration) -> Tally {
    cargo.args(["test", "--no-fail-fast", "--release"]);
    // Shown: how many executions each exploration was.
    cargo.args([
        "--package",
        "tlb-shootdown",
        "--lib",
        "loom_tests",
        "--",
        "--show-output",
    ]);
    cargo.env("RUSTFLAGS", "--cfg loom");
    // Other flags for every dependency: the usual folder would be rebuilt at each change from one to the other.
    cargo.env("CARGO_TARGET_DIR", workspace::target_dir().join("loom"));
    let mut tally = telling(
        "loom",
        cargo,
        limit,
        |_| {},
        |output| {
            for line in amounts(output) {
                println!("loom{line}");
            }
        },
    );
    // The other unit tests have run without loom.
    tally.skipped.retain(|why| why != FILTERED_OUT);
    if tally.passed == 0 && tally.failed.is_empty() {
        return Tally::failure("loom: no test of that name");
    }
    tally
}

/// Those whose tests have random kernels on the model.
const RANDOM_KERNELS: [&str; 4] = [
    "on_model",
    "x86_64_on_model",
    "powerpc_on_model",
    "ocxl_on_model",
];

/// How many operations each test with random kernels does in a night, and where it reads that.
pub(crate) const NIGHT: (&str, &str) = ("TLB_RANDOM_OPERATIONS", "1000000");

/// The properties that random kernels and all runs of small machines are to keep, at length. The controls are the same as on every other run, and are left to those.
pub(crate) fn random_kernels() -> Tally {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-fail-fast", "--release"]);
    cargo.args(["--package", "tlb-shootdown"]);
    for test in RANDOM_KERNELS {
        cargo.args(["--test", test]);
    }
    cargo.args(["--", "promise_03_nothing_stale", "--show-output"]);
    cargo.env(NIGHT.0, NIGHT.1);
    let mut tally = within("random kernels", &mut cargo, A_NIGHT);
    tally.skipped.retain(|why| why != FILTERED_OUT);
    if tally.passed == 0 && tally.failed.is_empty() {
        return Tally::failure("random kernels: no test of that name");
    }
    tally
}

fn cargo_test(part: &str, cargo: &mut std::process::Command) -> Tally {
    within(part, cargo, LIMIT)
}

fn within(part: &str, cargo: &mut std::process::Command, limit: Duration) -> Tally {
    telling(part, cargo, limit, |line| println!("{line}"), |_| {})
}

/// `line` is told each line as it comes, `all` everything at the end.
fn telling(
    part: &str,
    cargo: &mut std::process::Command,
    limit: Duration,
    line: impl FnMut(&str),
    all: impl FnOnce(&str),
) -> Tally {
    let ended = match process::stream_lines(cargo, limit, line) {
        Ok(ended) => ended,
        Err(error) => return Tally::failure(format!("{part}: {error:#}")),
    };
    all(&ended.stdout);
    let mut tally = parse(part, &ended.stdout);
    if ended.status.is_none() {
        tally
            .failed
            .push(format!("{part}: stopped after {} s", limit.as_secs()));
    } else if !ended.success() && tally.failed.is_empty() {
        tally
            .failed
            .push(format!("{part}: `{}` failed", process::shown(cargo)));
    }
    tally
}
