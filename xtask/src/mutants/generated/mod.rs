//! Mistakes that nobody has thought of: cargo-mutants changes one expression at a time in the library's sequences, rings and encoders.
//!
//! Each group of files is tried with the test programs that see it. A mutant that no test notices is a test that is missing, or code that
//! is needless. The few that mean the same as what stands there are named in `equivalents`, each with its reason.

mod equivalents;
mod groups;
mod listed;
mod tool;
mod tree;

use std::process::ExitCode;

use anyhow::{Context, Result};

use groups::{GROUPS, Group};
use tool::{Tool, Tried};

use crate::test::tally::Tally;

/// Tries the named group, or all, and prints a line for each.
pub(super) fn run(name: Option<&str>) -> Result<ExitCode> {
    let chosen = match name {
        Some(name) => vec![group(name)?],
        None => GROUPS.iter().collect(),
    };
    let tried = try_all(&chosen)?;
    Ok(if tried.iter().all(Tried::is_clean) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// For every group how many mutants there are, and which are not tried and why.
pub(super) fn list() -> Result<()> {
    let tool = Tool::prepare()?;
    for group in GROUPS {
        let listed = tool.list(group)?;
        let (mutants, same) = (listed.mutants.len(), listed.equivalent.len());
        println!("{}: {mutants} mutants, {same} mean the same", group.name);
        for (name, why) in listed.equivalent {
            println!("  {name}: {why}");
        }
    }
    Ok(())
}

/// What there is time for in minutes.
pub(crate) fn short() -> Tally {
    tally(group(groups::SHORT).map(|group| vec![group]))
}

/// Everything, which takes hours.
pub(crate) fn long() -> Tally {
    tally(Ok(GROUPS.iter().collect()))
}

fn group(name: &str) -> Result<&'static Group> {
    let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
    let mut groups = GROUPS.iter();
    let found = groups.find(|group| group.name == name);
    found.with_context(|| format!("there is no group {name}, only {}", names.join(", ")))
}

/// Each mutant that was noticed counts as a test that passed.
fn tally(groups: Result<Vec<&Group>>) -> Tally {
    let tried = match groups.and_then(|groups| try_all(&groups)) {
        Ok(tried) => tried,
        Err(error) => return Tally::failure(format!("generated: {error:#}")),
    };
    let mut tally = Tally::default();
    for one in tried {
        tally.passed += one.noticed();
        let survivors = one.survivors.into_iter();
        tally
            .failed
            .extend(survivors.map(|name| format!("generated: {name}")));
    }
    tally
}

fn try_all(groups: &[&Group]) -> Result<Vec<Tried>> {
    let tool = Tool::prepare()?;
    let mut all = Vec::new();
    for group in groups {
        let tried = tool.try_group(group)?;
        println!("{}: {}", group.name, tried.line());
        for name in &tried.survivors {
            println!("SURVIVED {name}");
        }
        all.push(tried);
    }
    Ok(all)
}
