//! The tests that cargo runs on this machine.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::test::tally::Tally;
use crate::{process, workspace};

/// A cold build of everything for the host, and the tests.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What is started in the evening has ended by then.
const A_NIGHT: Duration = Duration::from_secs(8 * 60 * 60);

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

/// The interleaving tests, the library's module `loom_tests`, under loom's own atomics.
pub(crate) fn loom() -> Tally {
    let mut cargo = workspace::cargo();
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
    let mut tally = cargo_test("loom", &mut cargo);
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
const NIGHT: (&str, &str) = ("TLB_RANDOM_OPERATIONS", "1000000");

/// What the software machine's oracle judges: random kernels, explored ones, and every operation of memory management.
pub(crate) fn properties() -> Tally {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-fail-fast", "--package", "tlb-shootdown"]);
    for test in RANDOM_KERNELS.iter().chain(&["mm_operations"]) {
        cargo.args(["--test", test]);
    }
    cargo_test("properties", &mut cargo)
}

/// The properties that random kernels are to keep, at length. The controls are the same as on every other run, and are left to those.
pub(crate) fn random_kernels() -> Tally {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-fail-fast", "--release"]);
    cargo.args(["--package", "tlb-shootdown"]);
    for test in RANDOM_KERNELS {
        cargo.args(["--test", test]);
    }
    cargo.args(["--", "promise_03_nothing_stale"]);
    cargo.env(NIGHT.0, NIGHT.1);
    let mut tally = within("random kernels", &mut cargo, A_NIGHT);
    tally.skipped.retain(|why| why != FILTERED_OUT);
    if tally.passed == 0 && tally.failed.is_empty() {
        return Tally::failure("random kernels: no test of that name");
    }
    tally
}

/// What stands for a test that a filter left out.
const FILTERED_OUT: &str = "a test filtered out";

fn cargo_test(part: &str, cargo: &mut std::process::Command) -> Tally {
    within(part, cargo, LIMIT)
}

fn within(part: &str, cargo: &mut std::process::Command, limit: Duration) -> Tally {
    let ended = match process::stream_lines(cargo, limit, |line| println!("{line}")) {
        Ok(ended) => ended,
        Err(error) => return Tally::failure(format!("{part}: {error:#}")),
    };
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

/// Reads what the standard test harness prints: one line a test, and one line of sums a binary.
fn parse(part: &str, output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines() {
        if let Some(sums) = line.strip_prefix("test result: ") {
            tally.passed += number_before(sums, " passed");
            let filtered = number_before(sums, " filtered out");
            tally
                .skipped
                .extend((0..filtered).map(|_| FILTERED_OUT.to_owned()));
        } else if let Some((name, end)) = test_line(line) {
            match end.split_once(", ").unwrap_or((end, "no reason given")) {
                ("ok", _) => tally.names.push(name.to_owned()),
                ("FAILED", _) => tally.failed.push(format!("{part}: {name}")),
                ("ignored", why) => tally.skipped.push(format!("{part}: {name}: {why}")),
                _ => {}
            }
        }
    }
    tally
}

fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, end) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    Some((name, end.trim_end()))
}

fn number_before(sums: &str, what: &str) -> u64 {
    let before = sums.split_once(what).map(|(before, _)| before);
    before
        .and_then(|text| text.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_harness_prints() {
        let output = "running 4 tests\n\
            test cpu_set::tests::union ... ok\n\
            test flush::tests::wraps ... FAILED\n\
            test slow ... ignored, takes an hour\n\
            test src/lib.rs - Engine (line 12) - compile ... ok\n\
            test src/lib.rs - Other (line 3) ... ignored\n\
            test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 1 filtered out; finished in 0.03s\n\
            test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let tally = parse("host", output);
        assert_eq!(tally.passed, 42);
        assert_eq!(
            tally.names,
            [
                "cpu_set::tests::union",
                "src/lib.rs - Engine (line 12) - compile"
            ]
        );
        assert_eq!(tally.failed, ["host: flush::tests::wraps"]);
        assert_eq!(
            tally.skipped,
            [
                "host: slow: takes an hour",
                "host: src/lib.rs - Other (line 3): no reason given",
                FILTERED_OUT,
            ]
        );
    }
}
