//! Each mistake with the promise that it breaks, where it is made, and the test that must notice.
//!
//! What it is and who has made it stands in the library, beside its name.

mod amd;
mod cpus;
mod engine;
mod intervals;
mod ocxl;
mod smmuv3;
mod vtd;
mod without;

pub(super) use without::{IMPOSSIBLE, WITHOUT};

/// One mistake and its test.
#[derive(Debug)]
pub(crate) struct Mutant {
    /// The library's name for it.
    pub(crate) defect: &'static str,
    pub(super) promise: u8,
    pub(super) column: Column,
    /// The test binary of the library, and the test in it.
    pub(super) binary: &'static str,
    pub(super) test: &'static str,
}

impl Mutant {
    pub(super) const fn new(
        defect: &'static str,
        promise: u8,
        column: Column,
        binary: &'static str,
        test: &'static str,
    ) -> Self {
        Self {
            defect,
            promise,
            column,
            binary,
            test,
        }
    }

    /// Everything but how it went.
    pub(super) fn line(&self) -> String {
        let Self {
            defect,
            promise,
            column,
            binary,
            test,
        } = self;
        let place = column.name();
        format!("{defect} (promise {promise}, {place}) in {binary}::{test}")
    }
}

/// Where a mistake is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// What all architectures and secondary TLBs share.
    Engine,
    Aarch64,
    X86_64,
    PowerPc,
    Smmuv3,
    Amd,
    Vtd,
    Ocxl,
}

pub(super) const COLUMNS: [Column; 8] = [
    Column::Engine,
    Column::Aarch64,
    Column::X86_64,
    Column::PowerPc,
    Column::Smmuv3,
    Column::Amd,
    Column::Vtd,
    Column::Ocxl,
];

/// The promises of the library's documentation, by their numbers.
pub(super) const PROMISES: std::ops::RangeInclusive<u8> = 1..=12;

impl Column {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
            Self::PowerPc => "powerpc",
            Self::Smmuv3 => "smmuv3",
            Self::Amd => "amd",
            Self::Vtd => "vtd",
            Self::Ocxl => "ocxl",
        }
    }
}

/// All of them, in the order of the library's list.
pub(super) fn all() -> impl Iterator<Item = &'static Mutant> {
    engine::MUTANTS
        .iter()
        .chain(intervals::MUTANTS)
        .chain(cpus::MUTANTS)
        .chain(smmuv3::MUTANTS)
        .chain(amd::MUTANTS)
        .chain(vtd::MUTANTS)
        .chain(ocxl::MUTANTS)
}

/// The test binaries that are needed.
pub(super) fn binaries() -> Vec<&'static str> {
    let mut binaries: Vec<_> = all().map(|mutant| mutant.binary).collect();
    binaries.sort_unstable();
    binaries.dedup();
    binaries
}
