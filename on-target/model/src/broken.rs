//! How the machine itself can fail.

use core::fmt;
use tlb_shootdown_model::oracle::{Counts, Violation};
use tlb_shootdown_scenarios::{Cost, Unflushed};

/// Why a scenario could not be played.
#[derive(Clone, Debug)]
pub enum Broken {
    /// A CPU, the SMMU or the device could not be set up or taken down; what was refused.
    SetUp(String),
    /// A shootdown did not complete.
    Flush(Unflushed<1>),
    /// The oracle saw what must not happen.
    Violation(Violation),
    /// The cost that the library gave is not what the machine counted.
    Miscounted {
        /// The library's.
        cost: Cost,
        /// The machine's.
        counts: Counts,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetUp(what) => write!(f, "the machine could not be set up: {what}"),
            Self::Flush(error) => write!(f, "the shootdown failed: {error:?}"),
            Self::Violation(violation) => write!(f, "the oracle objects: {violation}"),
            Self::Miscounted { cost, counts } => {
                write!(f, "the library counted {cost:?}, the machine {counts:?}")
            }
        }
    }
}

impl core::error::Error for Broken {}

impl From<Unflushed<1>> for Broken {
    fn from(error: Unflushed<1>) -> Self {
        Self::Flush(error)
    }
}

impl Broken {
    /// Something that was refused while setting up.
    pub(crate) fn set_up(error: impl fmt::Debug) -> Self {
        Self::SetUp(format!("{error:?}"))
    }
}
