//! Arm's model, and what is changed in it for questions that it cannot be asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tlb_shootdown_litmus::Model;

use crate::setup::herd::Herd;

/// The file of Arm's model that says what is observed by what.
const MODEL: &str = "aarch64.cat";

/// herd7 with every model that a test may want.
pub(super) struct Models {
    herd: Herd,
    empty_tlbs: PathBuf,
}

impl Models {
    /// Writes what is changed to this folder.
    pub(super) fn of(herd: Herd, folder: &Path) -> Result<Self> {
        let known = fs::read_to_string(herd.model().join(MODEL))?;
        let changed = with_empty_tlbs(&known);
        let changed = changed.with_context(|| format!("{MODEL} is not the one that is known"))?;
        let empty_tlbs = folder.join("empty-tlbs");
        fs::create_dir_all(&empty_tlbs)?;
        fs::write(empty_tlbs.join(MODEL), changed)?;
        Ok(Self { herd, empty_tlbs })
    }

    pub(super) fn command(&self, model: Model) -> Command {
        self.herd.command(match model {
            Model::Arms => None,
            Model::Local => Some(self.herd.local()),
            Model::EmptyTlbs => Some(&self.empty_tlbs),
        })
    }

    pub(super) fn version(&self) -> &str {
        &self.herd.version
    }
}

/// In Arm's model a walk that has read an old entry may always have been made long before: only a TLBI rules that out. Here it comes before
/// the store that it has not seen, so that it can be as old as its place in program order allows, and no older: right for a CPU that holds
/// nothing to begin with.
fn with_empty_tlbs(model: &str) -> Option<String> {
    const OBSERVED: &str = "    | TLBuncacheable-pred\n";
    let walks = format!("    | [Imp & TTD & R]; (ca & ext); [Exp & W]\n{OBSERVED}");
    (model.matches(OBSERVED).count() == 1).then(|| model.replace(OBSERVED, &walks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_model_is_changed() {
        let known =
            "let TTD-obs =\n    [Imp & TTD]; rf\n    | TLBuncacheable-pred\n    | HU-pred\n";
        let changed = with_empty_tlbs(known).unwrap();
        assert_eq!(changed.lines().count(), 5);
        assert!(changed.contains("; rf\n    | [Imp & TTD & R]; (ca & ext); [Exp & W]\n    | TLB"));
        assert_eq!(with_empty_tlbs("let TTD-obs = rf\n"), None);
    }
}
