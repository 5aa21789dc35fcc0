//! The mutants that cargo-mutants lists, and which of them are not to be tried.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::equivalents;
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

/// Sorts out the equivalent ones. One that is named and not among its group's mutants is an error: the code that it spoke of is gone.
pub(super) fn sort(root: &Path, group: &Group, json: &str) -> Result<Mutants> {
    let mutants: Vec<Listed> = serde_json::from_str(json).context("cargo-mutants' list")?;
    let mut sources = HashMap::new();
    for path in group.paths() {
        let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
        sources.insert(path, text);
    }
    let mut equivalent = Vec::new();
    for entry in equivalents::all()? {
        if !sources.contains_key(entry.file) {
            continue;
        }
        let fitting = mutants.iter().filter(|mutant| {
            mutant.file == entry.file
                && mutant.change() == entry.change
                && mutant.stands_in(&sources[entry.file], entry.line)
        });
        let before = equivalent.len();
        equivalent.extend(fitting.map(|mutant| (mutant.name.clone(), entry.reason)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_known_by_its_change_and_its_line() {
        let json = r#"{"name":"src/a.rs:2:7: replace | with ^ in f","file":"src/a.rs",
            "span":{"start":{"line":2,"column":7},"end":{"line":2,"column":8}}}"#;
        let listed: Listed = serde_json::from_str(json).unwrap();
        assert_eq!(listed.change(), "replace | with ^ in f");
        assert!(listed.stands_in("fn f() {\n    a | b\n}\n", "a | b"));
        assert!(!listed.stands_in("fn f() {\n    a | b\n}\n", "a"));
        assert!(!listed.stands_in("a | b\n", "a | b"));
    }
}
