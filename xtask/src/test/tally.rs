//! Counting tests, whatever ran them.

/// How the tests of one part ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many passed.
    pub(crate) passed: u64,
    /// The names of those that have one of interest to other parts.
    pub(crate) names: Vec<String>,
    /// What failed, one line each.
    pub(crate) failed: Vec<String>,
    /// What those that failed printed.
    pub(crate) said: Vec<String>,
    /// What did not run and why, one line each.
    pub(crate) skipped: Vec<String>,
    /// What could not be asked for want of a tool, and why, one line each.
    pub(crate) not_run: Vec<String>,
}

impl Tally {
    /// A part that could not run at all counts as one failure.
    pub(crate) fn failure(why: impl Into<String>) -> Self {
        Self {
            failed: vec![why.into()],
            ..Self::default()
        }
    }

    /// Adds another part's numbers to these.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.names.extend(other.names);
        self.failed.extend(other.failed);
        self.said.extend(other.said);
        self.skipped.extend(other.skipped);
        self.not_run.extend(other.not_run);
    }

    /// The numbers as one line, the form that scripts read.
    pub(crate) fn line(&self) -> String {
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        format!("{} passed, {failed} failed, {skipped} skipped", self.passed)
    }
}
