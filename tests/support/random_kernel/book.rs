//! What the kernel knows: which pages there are, and what of them has changed and is not flushed.

use super::pages::Layout;
use std::collections::{BTreeMap, BTreeSet};
use tlb_shootdown::ticket::Item;
use tlb_shootdown_model::Model;

/// A page as the kernel has it in its books.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) frame: u64,
    pub(super) writable: bool,
}

/// What was changed in one half, and what may be freed once that is flushed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) pages: BTreeSet<u64>,
    /// Taken out of the tree.
    pub(super) tables: BTreeSet<u64>,
    pub(super) items: Vec<Item>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Puts others to these; what they would free is not among them.
    pub(super) fn note(&mut self, others: &Self) {
        self.pages.extend(&others.pages);
        self.tables.extend(&others.tables);
    }

    /// Tells the oracle that all of these are flushed, and nothing else.
    pub(super) fn returned(&self, model: &Model, root: u64, layout: &Layout, half: super::Half) {
        for &page in &self.pages {
            let (first, last) = layout.span(half, page);
            model.returned(root, first, last);
            model.settled(root, first, last);
        }
        for &table in &self.tables {
            let (first, last) = layout.table_span(half, table);
            model.returned(root, first, last);
        }
    }
}

/// What is known of one half.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) pages: BTreeMap<u64, Page>,
    /// Neither flushed nor put into a batch.
    pub(super) changed: Changes,
    /// Stored with more rights, and nobody has been told.
    pub(super) upgraded: BTreeSet<u64>,
}

impl Book {
    pub(super) fn allows(&self, page: u64, write: bool) -> bool {
        let known = self.pages.get(&page);
        known.is_some_and(|known| known.writable || !write)
    }

    /// Whether a change of the page is neither flushed nor in a batch.
    pub(super) fn is_open(&self, page: u64) -> bool {
        self.changed.pages.contains(&page) || self.upgraded.contains(&page)
    }
}
