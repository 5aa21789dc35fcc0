//! Runs sorted by where they begin, each with how far it and all before it reach: the ones that a change concerns are found by two
//! binary searches, and lie side by side.

use super::span::Span;
use core::ops::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) span: Span,
    /// The highest last byte of this entry and all before it.
    reach: u64,
    /// Where the owner keeps the rest.
    pub(super) place: usize,
}

pub(super) struct Table<const N: usize> {
    entries: [Entry; N],
    len: usize,
}

impl<const N: usize> Table<N> {
    const UNUSED: Entry = Entry {
        span: Span { first: 0, last: 0 },
        reach: 0,
        place: 0,
    };

    pub(super) const fn new() -> Self {
        Self {
            entries: [Self::UNUSED; N],
            len: 0,
        }
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get(..self.len).unwrap_or(&[])
    }

    /// Adds an entry; [`settle`](Self::settle) follows. There is room: each entry has a place, and there are as many of those.
    pub(super) fn push(&mut self, span: Span, place: usize) {
        if let Some(entry) = self.entries.get_mut(self.len) {
            *entry = Entry {
                span,
                reach: span.last,
                place,
            };
            self.len += 1;
        }
    }

    /// Keeps the entries of these places; [`settle`](Self::settle) follows.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            let Some(entry) = self.entries.get(index).copied() else {
                break;
            };
            if !keep(entry.place) {
                continue;
            }
            if let Some(slot) = self.entries.get_mut(kept) {
                *slot = entry;
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Sorts anew. A handful of entries out of order cost one pass and a few moves.
    pub(super) fn settle(&mut self) {
        let Some(entries) = self.entries.get_mut(..self.len) else {
            return;
        };
        entries.sort_unstable_by_key(|entry| (entry.span.first, entry.place));
        let mut reach = 0;
        for entry in entries {
            reach = entry.span.last.max(reach);
            entry.reach = reach;
        }
    }

    /// Where the entries lie that may overlap. Not empty only where the first of them does.
    pub(super) fn reached(&self, span: Span) -> Range<usize> {
        let entries = self.entries();
        let begin = entries.partition_point(|entry| entry.reach < span.first);
        let end = entries.partition_point(|entry| entry.span.first <= span.last);
        begin..end.max(begin)
    }

    /// Whose entry is at this position.
    pub(super) fn place(&self, position: usize) -> Option<usize> {
        self.entries().get(position).map(|entry| entry.place)
    }

    /// The entries among these that overlap, with their positions.
    pub(super) fn overlapping(
        &self,
        among: Range<usize>,
        span: Span,
    ) -> impl Iterator<Item = (usize, &Entry)> {
        let begin = among.start;
        let entries = self.entries().get(among).unwrap_or(&[]);
        (begin..)
            .zip(entries)
            .filter(move |(_, entry)| entry.span.overlaps(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn table(spans: &[(u64, u64)]) -> Table<8> {
        let mut table = Table::new();
        for (place, (first, last)) in spans.iter().enumerate() {
            let (first, last) = (*first, *last);
            table.push(Span { first, last }, place);
            table.settle();
        }
        table
    }

    fn found(table: &Table<8>, first: u64, last: u64) -> Vec<usize> {
        let span = Span { first, last };
        let reached = table.reached(span);
        let found: Vec<_> = table.overlapping(reached.clone(), span).collect();
        assert_eq!(
            found.first().map(|(index, _)| *index),
            (!reached.is_empty()).then_some(reached.start),
            "not empty only where the first one overlaps"
        );
        found.into_iter().map(|(_, entry)| entry.place).collect()
    }

    /// A long run that begins early hides behind short ones that begin later.
    #[test]
    fn long_runs_are_found_behind_short_ones() {
        let table = table(&[(50, 59), (0, 99), (20, 29), (100, 109)]);
        assert_eq!(found(&table, 70, 80), [1]);
        assert_eq!(found(&table, 25, 55), [1, 2, 0]);
        assert_eq!(found(&table, 99, 100), [1, 3]);
        assert_eq!(found(&table, 110, 200), []);
    }

    #[test]
    fn nothing_is_found_between_neighbours() {
        let table = table(&[(0, 9), (20, 29)]);
        assert_eq!(found(&table, 10, 19), []);
        assert_eq!(found(&table, 9, 9), [0]);
        assert_eq!(found(&table, 20, 20), [1]);
        assert_eq!(found(&table, 0, u64::MAX), [0, 1]);
    }

    #[test]
    fn what_is_not_kept_is_not_found() {
        let mut table = table(&[(0, 99), (20, 29), (40, 49)]);
        table.retain(|place| place != 0);
        table.settle();
        assert_eq!(found(&table, 0, 39), [1]);
        assert_eq!(found(&table, 30, 39), []);
    }

    #[test]
    fn a_table_that_is_full_takes_no_more() {
        let mut table = table(&[(0, 0); 8]);
        table.push(Span { first: 5, last: 5 }, 8);
        table.settle();
        assert_eq!(found(&table, 5, 5), []);
        assert_eq!(found(&table, 0, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
