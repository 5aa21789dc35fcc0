//! Running cargo-mutants over one group in the copy of the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::groups::Group;
use super::listed::{self, Mutants};
use super::tree;
use crate::mutants::expecting_failure;
use crate::setup::cargo_mutants;
use crate::{process, workspace};

/// What is no part of any group: what a value looks like to people, and tests.
const NOT_EXAMINED: [&str; 2] = [
    "impl (fmt::|defmt::)?(Debug|Display|LowerHex|Format) for",
    // False wherever no mistake is put back.
    r"is_put_back\(\) with false",
];

/// How long one mutant's tests may take, in seconds: without a mutant no group's take a third of it. A loop that does not end is a mutant caught.
const TEST_LIMIT: &str = "60";

/// For one group.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// With which status cargo-mutants ends where it has tried all, by its manual: nothing to say, survivors, time-outs.
const TRIED: [i32; 3] = [0, 2, 3];

/// cargo-mutants and the copy of the checkout it works in.
pub(super) struct Tool {
    program: PathBuf,
    folder: PathBuf,
}

/// How a group's mutants ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tried {
    caught: Vec<String>,
    timed_out: Vec<String>,
    not_viable: u64,
    equivalent: usize,
    /// The names of those that no test noticed.
    pub(super) survivors: Vec<String>,
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: String,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant { name: String },
}

impl Tool {
    /// Builds the program at the first use, and brings the copy up to date.
    pub(super) fn prepare() -> Result<Self> {
        let program = cargo_mutants::find_or_build()?;
        let folder = workspace::target_dir().join("generated");
        tree::mirror(workspace::root(), &folder.join("tree"))?;
        Ok(Self { program, folder })
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    fn command(&self, group: &Group) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["mutants", "--no-config", "--package", "tlb-shootdown"])
            .current_dir(self.tree());
        workspace::forget_package(&mut command);
        for path in group.paths() {
            command.args(["--file", &path]);
        }
        for pattern in NOT_EXAMINED {
            command.args(["--exclude-re", pattern]);
        }
        command
    }

    /// The group's mutants, without trying any.
    pub(super) fn list(&self, group: &Group) -> Result<Mutants> {
        let mut command = self.command(group);
        command.args(["--list", "--json"]);
        let listed = process::capture(&mut command, Duration::from_secs(60))?;
        ensure!(listed.success(), "{}", listed.stderr.trim());
        listed::sort(&self.tree(), group, &listed.stdout)
    }

    /// Tries every mutant of the group that does not mean the same.
    pub(super) fn try_group(&self, group: &Group) -> Result<Tried> {
        let equivalent = self.list(group)?.equivalent;
        let mut command = self.command(group);
        for (name, _) in &equivalent {
            command.args(["--exclude-re", &exactly(name)]);
        }
        let mut tried = Tried {
            equivalent: equivalent.len(),
            ..self.try_with(group.tests, command, group.name)?
        };
        if !group.rest.is_empty() && !tried.is_clean() {
            let mut command = self.command(group);
            for name in &tried.survivors {
                command.args(["--re", &exactly(name)]);
            }
            tried.add(self.try_with(group.rest, command, group.name)?);
        }
        Ok(tried)
    }

    /// Tries what the command names with these test programs.
    fn try_with(&self, tests: &[&str], mut command: Command, name: &str) -> Result<Tried> {
        let output = self.folder.join(name);
        fs::create_dir_all(&output)?;
        command.args(["--in-place", "--cap-lints", "true"]);
        command.args(["--timeout", TEST_LIMIT, "--build-timeout", "600"]);
        command.args(["--no-times", "--colors", "never", "--output"]);
        command.arg(&output);
        for test in tests {
            // For its builds too, which would otherwise be of every test program.
            command.arg(format!("--cargo-arg={test}"));
        }
        self.environment(&mut command);
        let ended = process::stream_lines(&mut command, LIMIT, |_| {})?;
        let code = ended.status.and_then(|status| status.code());
        if !code.is_some_and(|code| TRIED.contains(&code)) {
            bail!("{name}: cargo-mutants ended with {code:?}");
        }
        Tried::read(&output.join("mutants.out/outcomes.json"))
    }

    /// Where it builds, and that nobody debugs what it builds.
    fn environment(&self, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", self.folder.join("build"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.env("CARGO_INCREMENTAL", "1");
        expecting_failure(command);
        command.env("PROPTEST_CASES", "64");
    }
}

/// A pattern for this mutant and no other.
fn exactly(name: &str) -> String {
    format!("^{}$", regex::escape(name))
}

impl Tried {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let outcomes: Outcomes = serde_json::from_str(&text).context("cargo-mutants' outcomes")?;
        Self::count(outcomes)
    }

    fn count(outcomes: Outcomes) -> Result<Self> {
        let mut tried = Self {
            caught: Vec::new(),
            timed_out: Vec::new(),
            not_viable: 0,
            equivalent: 0,
            survivors: Vec::new(),
        };
        for Outcome { scenario, summary } in outcomes.outcomes {
            match (scenario, summary.as_str()) {
                (Scenario::Baseline, "Success") => {}
                (Scenario::Mutant { name }, "CaughtMutant") => tried.caught.push(name),
                (Scenario::Mutant { name }, "Timeout") => tried.timed_out.push(name),
                (Scenario::Mutant { .. }, "Unviable") => tried.not_viable += 1,
                (Scenario::Mutant { name }, "MissedMutant") => tried.survivors.push(name),
                (Scenario::Mutant { name }, other) => bail!("{name}: {other}"),
                (Scenario::Baseline, other) => bail!("without any mutant: {other}"),
            }
        }
        ensure!(
            tried.noticed() + tried.survivors.len() as u64 > 0,
            "no mutant was tried"
        );
        Ok(tried)
    }

    /// What became of those that had survived. Other names are let pass: cargo-mutants deletes fields of structs whatever the patterns are.
    fn add(&mut self, later: Self) {
        let survived = core::mem::take(&mut self.survivors);
        for name in survived {
            if later.caught.contains(&name) {
                self.caught.push(name);
            } else if later.timed_out.contains(&name) {
                self.timed_out.push(name);
            } else {
                self.survivors.push(name);
            }
        }
    }

    /// A loop that does not end is noticed as well.
    pub(super) fn noticed(&self) -> u64 {
        (self.caught.len() + self.timed_out.len()) as u64
    }

    pub(super) fn is_clean(&self) -> bool {
        self.survivors.is_empty()
    }

    pub(super) fn line(&self) -> String {
        format!(
            "caught {} of {} ({} not viable, {} timed out, {} mean the same)",
            self.noticed(),
            self.noticed() + self.survivors.len() as u64,
            self.not_viable,
            self.timed_out.len(),
            self.equivalent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, summary: &str) -> String {
        let scenario = match name {
            "" => "\"Baseline\"".to_owned(),
            name => format!("{{\"Mutant\":{{\"name\":\"{name}\",\"genre\":\"FnValue\"}}}}"),
        };
        format!("{{\"scenario\":{scenario},\"summary\":\"{summary}\"}}")
    }

    fn read(outcomes: &[(&str, &str)]) -> Result<Tried> {
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|(name, summary)| outcome(name, summary))
            .collect();
        let json = format!("{{\"outcomes\":[{}],\"missed\":1}}", outcomes.join(","));
        Tried::count(serde_json::from_str(&json)?)
    }

    #[test]
    fn survivors_are_named_and_the_others_counted() {
        let tried = read(&[
            ("", "Success"),
            ("a", "CaughtMutant"),
            ("b", "MissedMutant"),
            ("c", "Timeout"),
            ("d", "Unviable"),
        ])
        .unwrap();
        assert_eq!(
            tried.line(),
            "caught 2 of 3 (1 not viable, 1 timed out, 0 mean the same)"
        );
        assert_eq!(tried.survivors, ["b"]);
        assert!(!tried.is_clean());
    }

    #[test]
    fn what_some_tests_leave_is_for_the_others() {
        let mut tried = read(&[
            ("", "Success"),
            ("a", "CaughtMutant"),
            ("b", "MissedMutant"),
            ("c", "MissedMutant"),
            ("d", "MissedMutant"),
        ])
        .unwrap();
        let rest = read(&[
            ("", "Success"),
            ("b", "CaughtMutant"),
            ("c", "MissedMutant"),
            ("a", "MissedMutant"),
        ]);
        tried.add(rest.unwrap());
        assert_eq!(tried.noticed(), 2);
        assert_eq!(
            tried.survivors,
            ["c", "d"],
            "one of them was not asked about"
        );
    }

    #[test]
    fn what_tried_nothing_is_an_error() {
        assert!(read(&[("", "Success"), ("d", "Unviable")]).is_err());
        assert!(read(&[("", "Failure")]).is_err());
        assert!(read(&[("", "Success"), ("a", "Failure")]).is_err());
    }
}
