//! The mutants that cargo-mutants lists, and which of them are not to be tried.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::equivalents::{EQUIVALENTS, Equivalent};
use super::groups::Group;

/// One mutant as `cargo mutants --list --json` describes it.
#[derive(Deserialize)]
pub(super) struct Listed {
    /// `file:line:column: what is changed`.
    pub(super) name: String,
    file: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
    column: usize,
}

/// A group's mutants.
pub(super) struct Mutants {
    /// All of them, the equivalent ones too.
    pub(super) mutants: Vec<Listed>,
    /// The names of those that mean the same, each with the reason.
    pub(super) equivalent: Vec<(String, &'static str)>,
}

/// Sorts out the equivalent ones. An entry of the table that fits none of its group's mutants is an error: the code it spoke of is gone.
pub(super) fn sort(root: &Path, group: &Group, json: &str) -> Result<Mutants> {
    let mutants: Vec<Listed> = serde_json::from_str(json).context("cargo-mutants' list")?;
    let mut sources = HashMap::new();
    for path in group.paths() {
        let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
        sources.insert(path, text);
    }
    let mut equivalent = Vec::new();
    for (entry, why) in entries() {
        if !sources.contains_key(entry.file) {
            continue;
        }
        let fitting = mutants.iter().filter(|mutant| {
            mutant.file == entry.file
                && mutant.change() == entry.change
                && mutant.stands_in(&sources[entry.file], entry.line)
        });
        let before = equivalent.len();
        equivalent.extend(fitting.map(|mutant| (mutant.name.clone(), why)));
        ensure!(
            equivalent.len() > before,
            "no such mutant: {}: {}: {}",
            entry.file,
            entry.change,
            entry.line
        );
    }
    Ok(Mutants {
        mutants,
        equivalent,
    })
}

fn entries() -> impl Iterator<Item = (&'static Equivalent, &'static str)> {
    let reasons = EQUIVALENTS.iter();
    reasons.flat_map(|(why, entries)| entries.iter().map(move |entry| (entry, *why)))
}

impl Listed {
    /// What is changed, without where.
    fn change(&self) -> &str {
        let Position { line, column } = self.span.start;
        let place = format!("{}:{line}:{column}: ", self.file);
        self.name.strip_prefix(&place).unwrap_or(&self.name)
    }

    fn stands_in(&self, source: &str, line: &str) -> bool {
        let there = source.lines().nth(self.span.start.line - 1);
        there.is_some_and(|there| there.trim() == line)
    }
}
