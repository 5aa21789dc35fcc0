//! Mutants that mean the same as what stands there, so that no test can notice them.

/// Where one stands.
pub(super) struct Equivalent {
    pub(super) file: &'static str,
    /// What cargo-mutants does, in its own words.
    pub(super) change: &'static str,
    /// The line it does it to, without the space around it.
    pub(super) line: &'static str,
}

const fn at(file: &'static str, change: &'static str, line: &'static str) -> Equivalent {
    Equivalent { file, change, line }
}

/// By the reason.
pub(super) const EQUIVALENTS: &[(&str, &[Equivalent])] = &[];
