//! Mutants that mean the same as what stands there, each with its reason, as `equivalents.txt` names them.

use anyhow::{Context, Result};

const LIST: &str = include_str!("equivalents.txt");

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Equivalent<'a> {
    pub(super) file: &'a str,
    /// What cargo-mutants does, in its own words.
    pub(super) change: &'a str,
    /// The line it does it to, without the space around it.
    pub(super) line: &'a str,
    pub(super) reason: &'a str,
}

/// All of them.
pub(super) fn all() -> Result<Vec<Equivalent<'static>>> {
    parse(LIST)
}

/// What stands before the first reason is for the reader.
fn parse(list: &str) -> Result<Vec<Equivalent<'_>>> {
    let mut reason = None;
    let mut all = Vec::new();
    for text in list.lines().filter(|text| !text.is_empty()) {
        if let Some(new) = text.strip_prefix("# ") {
            reason = Some(new);
        } else if let Some(reason) = reason {
            let mut parts = text.splitn(3, ": ");
            let mut part = || parts.next().with_context(|| format!("three parts: {text}"));
            all.push(Equivalent {
                file: part()?,
                change: part()?,
                line: part()?,
                reason,
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_the_last_reason_above_it() {
        let list = "Words\n\n# One.\na.rs: replace | with ^ in f: x | y\n\n# Two.\nb.rs: c: d: e\n";
        let second = Equivalent {
            file: "b.rs",
            change: "c",
            line: "d: e",
            reason: "Two.",
        };
        let all = parse(list).unwrap();
        assert_eq!((all.len(), all[0].reason), (2, "One."));
        assert_eq!(all[1], second);
        assert!(parse("# One.\na.rs: what\n").is_err());
    }

    #[test]
    fn each_is_in_a_group() {
        let paths: Vec<_> = super::super::groups::GROUPS
            .iter()
            .flat_map(|group| group.paths())
            .collect();
        for one in all().unwrap() {
            assert!(paths.iter().any(|path| path == one.file), "{one:?}");
        }
    }
}
