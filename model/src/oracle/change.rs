//! Changes of tables whose invalidation has not returned yet.

use super::truth::{marks_no_more, same_but_rights};
use crate::memory::descriptor::Kind;
use crate::tlb::Entry;
use alloc::vec::Vec;

/// What whoever holds the old entry has that the table does not give any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loses {
    /// Nothing: rights were widened.
    Nothing,
    /// Rights, or the duty to mark the page at the next write: the entry leads where it led.
    Rights,
    /// All of it: the entry is gone, or leads elsewhere.
    Everything,
}

/// What a store does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Nothing where nobody can hold what was there.
    pub(crate) loses: Option<Loses>,
    /// Something leads where nothing led before.
    pub(crate) installs: bool,
}

impl Effect {
    pub(crate) fn of(old: Kind, new: Kind) -> Self {
        let loses = match (old, new) {
            // What is not valid is not cached.
            (Kind::Invalid, _) => None,
            (Kind::Leaf(old), Kind::Leaf(new)) if same_but_rights(&new, &old, old.pa) => {
                let widens = old.rights <= new.rights && !marks_no_more(&old, &new);
                Some(if widens {
                    Loses::Nothing
                } else {
                    Loses::Rights
                })
            }
            (Kind::Table(old), Kind::Table(new)) if old == new => None,
            _ => Some(Loses::Everything),
        };
        let leads_anew = matches!(old, Kind::Invalid) || loses == Some(Loses::Everything);
        Self {
            loses,
            installs: leads_anew && !matches!(new, Kind::Invalid),
        }
    }
}

/// A range of addresses of one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) root: u64,
    pub(crate) first: u64,
    /// The last byte.
    pub(crate) last: u64,
}

impl Span {
    /// What an entry translates.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            root: entry.context.root.table,
            first: entry.va,
            last: entry.last(),
        }
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.root == other.root && self.first <= other.last && other.first <= self.last
    }

    fn holds(&self, other: &Self) -> bool {
        self.root == other.root && self.first <= other.first && other.last <= self.last
    }
}

/// A change of a table whose invalidation has not returned yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    span: Span,
    loses: Loses,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<Change>);

impl Pending {
    pub(super) fn add(&mut self, span: Span, loses: Loses) {
        self.0.push(Change { span, loses });
    }

    pub(super) fn returned(&mut self, span: &Span) {
        self.0.retain(|change| !span.holds(&change.span));
    }

    pub(super) fn excuses(&self, entry: &Entry) -> bool {
        let span = Span::of(entry);
        self.0.iter().any(|change| span.meets(&change.span))
    }

    /// Where in the span somebody may still have what the table does not give: at least so much.
    pub(super) fn find(&self, span: &Span, at_least: Loses) -> Option<u64> {
        let mut all = self.0.iter();
        let found = all.find(|change| change.loses >= at_least && change.span.meets(span));
        found.map(|change| change.span.first.max(span.first))
    }
}
