//! The walk through the tables, as a CPU's or an IOMMU's walker does it.

use super::descriptor::{Kind, Leaf};
use super::format::Format;
use alloc::vec::Vec;

/// Where a walk begins: at the root, or at a table that a walk cache remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) format: Format,
    pub(crate) level: i8,
    pub(crate) table: u64,
}

/// One descriptor that a walk read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) level: i8,
    /// Where the descriptor lies.
    pub(crate) at: u64,
    pub(crate) raw: u64,
}

/// Everything that a walk met, in order.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The table descriptors.
    pub(crate) tables: Vec<(Step, u64)>,
    /// The leaf that it ended in; nothing where it met an invalid entry or memory that does not answer.
    pub(crate) leaf: Option<(Step, Leaf)>,
}

/// Walks for `va`. `read` gives a descriptor as this walker sees it.
pub(crate) fn walk(start: Start, va: u64, mut read: impl FnMut(u64) -> Option<u64>) -> Walk {
    let mut found = Walk {
        tables: Vec::new(),
        leaf: None,
    };
    let (mut level, mut table) = (start.level, start.table);
    loop {
        let at = table + start.format.offset(level, va);
        let Some(raw) = read(at) else { return found };
        let step = Step { level, at, raw };
        match start.format.decode(level, raw) {
            Kind::Invalid => return found,
            Kind::Leaf(leaf) => {
                found.leaf = Some((step, leaf));
                return found;
            }
            Kind::Table(next) => {
                found.tables.push((step, next));
                (level, table) = (level + 1, next);
            }
        }
    }
}
