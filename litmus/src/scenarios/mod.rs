//! What the engine is asked to do, and who watches.

mod batch;
mod errata;
mod kernel;
mod meeting;
mod membership;
mod migration;
mod observer;
mod own;
mod pairs;
mod replace;
mod reuse;
mod unmap;
mod upgrade;

use anyhow::Result;

use crate::test::{Model, Sequence};
use crate::twin::Twin;
use crate::verdict::Verdict;

/// What a scenario has to show.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What holds where the sequence is right, in one sentence.
    pub(crate) property: &'static str,
    /// Drives the engine and writes down what it did.
    pub(crate) write: fn() -> Result<Written>,
    pub(crate) model: Model,
}

impl Scenario {
    /// One that holds on every machine and asks about several CPUs.
    const fn new(
        name: &'static str,
        property: &'static str,
        write: fn() -> Result<Written>,
    ) -> Self {
        Self {
            name,
            property,
            write,
            model: Model::Arms,
        }
    }

    /// The barriers of one CPU alone must count.
    const fn local(self) -> Self {
        Self {
            model: Model::Local,
            ..self
        }
    }

    /// Nobody holds entries of the space at first.
    const fn with_empty_tlbs(self) -> Self {
        Self {
            model: Model::EmptyTlbs,
            ..self
        }
    }
}

/// What was emitted, and twins beyond those that any sequence has.
pub(crate) struct Written {
    pub(crate) sequence: Sequence,
    pub(crate) twins: Vec<(Twin, Verdict)>,
}

impl From<Sequence> for Written {
    fn from(sequence: Sequence) -> Self {
        Self {
            sequence,
            twins: Vec::new(),
        }
    }
}

/// All of them.
pub(crate) const ALL: [Scenario; 28] = [
    unmap::PAGE,
    unmap::TABLES,
    unmap::DOWNGRADE,
    unmap::RANGE,
    unmap::SPACE,
    unmap::RETIRED,
    batch::GATHER,
    batch::RECLAIM,
    batch::PENDING,
    batch::MIGRATED,
    upgrade::EVERYWHERE,
    upgrade::LAZILY,
    upgrade::SPURIOUS,
    upgrade::FRESH,
    replace::REPLACED,
    reuse::READ,
    reuse::WRITTEN,
    migration::TICKET,
    kernel::RANGE,
    kernel::OWN,
    own::PAGE,
    pairs::PAGE,
    pairs::SPACE,
    errata::REPEATED,
    errata::JOINS,
    membership::SWITCHES,
    membership::FIRST,
    membership::ONLINE,
];
