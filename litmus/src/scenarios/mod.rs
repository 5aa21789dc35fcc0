//! What the engine is asked to do, and who watches.

mod batch;
mod kernel;
mod migration;
mod observer;
mod own;
mod replace;
mod reuse;
mod unmap;
mod upgrade;

use anyhow::Result;

use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;

/// What a scenario has to show.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What holds where the sequence is right, in one sentence.
    pub(crate) property: &'static str,
    /// Drives the engine and writes down what it did.
    pub(crate) write: fn() -> Result<Written>,
    /// The barriers of one CPU alone (`DSB NSH`) must count.
    pub(crate) is_local: bool,
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
            is_local: false,
        }
    }

    /// The barriers of one CPU alone must count.
    const fn local(self) -> Self {
        Self {
            is_local: true,
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
pub(crate) const ALL: [Scenario; 20] = [
    unmap::PAGE,
    unmap::TABLES,
    unmap::DOWNGRADE,
    unmap::RANGE,
    unmap::SPACE,
    unmap::RETIRED,
    batch::GATHER,
    batch::RECLAIM,
    batch::PENDING,
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
];
