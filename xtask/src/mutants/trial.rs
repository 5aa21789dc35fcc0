//! One test, run in a process of its own with one mistake put back.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::build::Programs;
use super::table::Mutant;
use crate::process::{self, Captured};
use crate::workspace;

/// Chooses the mistake in the library's process.
const VARIABLE: &str = "TLB_DEFECT";
/// No test that is named takes a tenth of this.
const LIMIT: Duration = Duration::from_secs(60);
/// With which status the standard harness ends where a test has failed.
const TESTS_FAILED: i32 = 101;

/// How a test took a mistake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It failed by an assertion, after the mistake was made.
    Caught,
    /// It passed although the mistake was made.
    Survived,
    /// The library never came to the place.
    NotReached,
    /// It was stopped, which proves nothing.
    TimedOut,
    /// Something else went wrong.
    Error(String),
}

impl Verdict {
    pub(crate) fn is_caught(&self) -> bool {
        *self == Self::Caught
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => f.write_str("caught"),
            Self::Survived => f.write_str("SURVIVED"),
            Self::NotReached => f.write_str("NOT REACHED"),
            Self::TimedOut => f.write_str("TIMED OUT"),
            Self::Error(why) => write!(f, "ERROR: {why}"),
        }
    }
}

/// The named test with its mistake.
pub(super) fn with(programs: &Programs, mutant: &Mutant) -> Verdict {
    let ended = programs
        .get(mutant.binary)
        .and_then(|program| run(program, &[mutant.test], mutant.defect));
    match ended {
        Ok(ended) => judge(&ended, mutant),
        Err(error) => Verdict::Error(format!("{error:#}")),
    }
}

fn judge(ended: &Captured, mutant: &Mutant) -> Verdict {
    let Some(status) = ended.status else {
        return Verdict::TimedOut;
    };
    let reached = said(ended, "reached").any(|name| name == mutant.defect);
    let passed = ended.stdout.contains("test result: ok. 1 passed");
    let failed = ended
        .stdout
        .contains("test result: FAILED. 0 passed; 1 failed");
    match status.code() {
        _ if !reached && (passed || failed) => Verdict::NotReached,
        Some(0) if passed => Verdict::Survived,
        Some(TESTS_FAILED) if failed && was_asserted(&ended.stdout) => Verdict::Caught,
        Some(TESTS_FAILED) if failed => {
            Verdict::Error("the library itself panicked before any assertion".to_owned())
        }
        _ => Verdict::Error(format!("{status}: {}", ended.stderr.trim())),
    }
}

/// Whether a test or the model objected. A panic of the library's own is no test's merit.
fn was_asserted(stdout: &str) -> bool {
    let places = stdout
        .lines()
        .filter_map(|line| line.split_once("panicked at "));
    places
        .map(|(_, place)| place)
        .any(|place| place.starts_with("tests/") || place.starts_with("model/"))
}

/// Every named test must pass where no mistake is made.
pub(super) fn pass_without(programs: &Programs, chosen: &[&Mutant]) -> Result<()> {
    let mut binaries: Vec<_> = chosen.iter().map(|mutant| mutant.binary).collect();
    binaries.sort_unstable();
    binaries.dedup();
    let mut passed = 0;
    for binary in binaries {
        let mine = chosen.iter().filter(|mutant| mutant.binary == binary);
        let mut tests: Vec<_> = mine.map(|mutant| mutant.test).collect();
        tests.sort_unstable();
        tests.dedup();
        let ended = run(programs.get(binary)?, &tests, "")?;
        let all = format!("test result: ok. {} passed", tests.len());
        ensure!(
            ended.success() && ended.stdout.contains(&all),
            "{binary} without any mistake: {} tests were to pass\n{}{}",
            tests.len(),
            ended.stdout,
            ended.stderr
        );
        passed += tests.len();
    }
    println!("without any mistake {passed} tests pass");
    Ok(())
}

/// The library's own list, which it tells where it is asked for a mistake that there is not; it must then refuse to go on.
pub(super) fn known(programs: &Programs, any: &Mutant) -> Result<Vec<(String, String)>> {
    let ended = run(programs.get(any.binary)?, &[any.test], "?")?;
    if said(&ended, "unknown").next() != Some("?") || ended.success() {
        bail!("an unknown mistake was not refused:\n{}", ended.stderr);
    }
    let known = said(&ended, "known").filter_map(|line| line.split_once(':'));
    Ok(known
        .map(|(name, what)| (name.to_owned(), what.to_owned()))
        .collect())
}

/// What the library has said on standard error, by its first word.
fn said<'a>(ended: &'a Captured, what: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = ended.stderr.lines();
    lines.filter_map(move |line| {
        let rest = line.strip_prefix("tlb-defects: ")?;
        rest.strip_prefix(what)?.strip_prefix(' ')
    })
}

fn run(program: &Path, tests: &[&str], defect: &str) -> Result<Captured> {
    let mut command = Command::new(program);
    command
        .args(tests)
        .arg("--exact")
        .current_dir(workspace::root());
    command.env(VARIABLE, defect);
    super::expecting_failure(&mut command);
    process::capture(&mut command, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::table::{Column, Mutant};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    const MUTANT: Mutant = Mutant {
        defect: "Wrong",
        promise: 1,
        column: Column::Engine,
        binary: "b",
        test: "t",
    };

    fn verdict(code: i32, stdout: &str, stderr: &str) -> Verdict {
        let ended = Captured {
            status: Some(ExitStatus::from_raw(code << 8)),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        judge(&ended, &MUTANT)
    }

    const REACHED: &str = "tlb-defects: reached Wrong\n";
    const FAILED: &str = "test result: FAILED. 0 passed; 1 failed; 0 ignored";
    const PASSED: &str = "test result: ok. 1 passed; 0 failed; 0 ignored";

    #[test]
    fn only_an_assertion_after_the_mistake_counts() {
        let by = |place: &str| format!("thread 't' (7) panicked at {place}:\nno\n{FAILED}");
        assert_eq!(
            verdict(101, &by("tests/a.rs:1:1"), REACHED),
            Verdict::Caught
        );
        assert_eq!(
            verdict(101, &by("model/src/b.rs:1:1"), REACHED),
            Verdict::Caught
        );
        assert_eq!(verdict(101, &by("tests/a.rs:1:1"), ""), Verdict::NotReached);
        assert!(matches!(
            verdict(101, &by("src/c.rs:1:1"), REACHED),
            Verdict::Error(_)
        ));
        assert_eq!(verdict(0, PASSED, REACHED), Verdict::Survived);
        assert_eq!(verdict(0, PASSED, ""), Verdict::NotReached);
    }

    #[test]
    fn what_the_harness_does_not_explain_is_an_error() {
        let none = "test result: ok. 0 passed; 0 failed; 1 filtered out";
        assert!(matches!(verdict(0, none, ""), Verdict::Error(_)));
        assert!(matches!(verdict(1, FAILED, REACHED), Verdict::Error(_)));
        let stopped = Captured {
            status: None,
            stdout: String::new(),
            stderr: REACHED.to_owned(),
        };
        assert_eq!(judge(&stopped, &MUTANT), Verdict::TimedOut);
    }
}
