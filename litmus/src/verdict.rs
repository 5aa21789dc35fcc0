//! What herd7 says about a test.

use std::fmt;

/// Whether the outcome that must not happen can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In no execution that the architecture allows.
    Never,
    /// In some.
    Sometimes,
    /// The entry is changed without the break that the architecture asks for: nothing can be said about its executions.
    NeedsBreak,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Never => "Never",
            Self::Sometimes => "Sometimes",
            Self::NeedsBreak => "requires-BBM",
        })
    }
}
