//! The collision rules: who may read, who is told, and when the set of subscriptions may change. No locking, no calls.
//!
//! While the sequence is odd some invalidation is running that concerns somebody, and the sorted table stands still, so that positions
//! in it stay good between two looks. An invalidation that met nobody leaves the sequence even, and the table free to change. What must
//! wait is done when the last invalidation has ended. A subscription was told of the run in which its own number is the sequence's.

use super::span::Span;
use super::subscriber::{Mark, StaticSubscriber};
use super::table::Table;
use crate::address::FlushRange;
use crate::defects::Defect;
use crate::secondary::AttachKey;
use crate::sync::{AtomicU64, Ordering};
use core::ops::Range;

/// For each place the run that its subscription was told of last: odd, so never the sequence of an idle moment. Written under the lock.
/// Relaxed, because who reads it without holds the subscriber's lock, which its `start` takes after the store.
pub(super) type Told<const N: usize> = [AtomicU64; N];

/// What no reader was ever given.
const NEVER: u64 = 0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Enters the table when the run ends. Nobody reads through it before.
    Joining,
    Joined,
    /// Leaves the table when the run ends, and is told of changes until then.
    Leaving,
}

#[derive(Clone, Copy)]
struct Place {
    status: Status,
    target: Target,
    span: Span,
    /// Never used twice.
    id: u64,
    /// The newest mark that nobody has seen reached.
    newest: Option<Mark>,
}

/// Whom to call.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) subscriber: StaticSubscriber,
    pub(super) key: AttachKey,
}

pub(super) struct State<const N: usize> {
    sequence: u64,
    running: usize,
    places: [Option<Place>; N],
    table: Table<N>,
    next_id: u64,
    released: bool,
}

impl<const N: usize> State<N> {
    pub(super) const fn new() -> Self {
        Self {
            sequence: 2,
            running: 0,
            places: [None; N],
            table: Table::new(),
            next_id: 0,
            released: false,
        }
    }

    /// The run that is under way, where there is one that concerns somebody.
    pub(super) fn run(&self) -> Option<u64> {
        (self.sequence & 1 == 1).then_some(self.sequence)
    }

    pub(super) fn is_released(&self) -> bool {
        self.released
    }

    pub(super) fn set_released(&mut self) {
        self.released = true;
    }

    /// Adds a subscription: its place and number, or nothing where every place is taken.
    pub(super) fn insert(
        &mut self,
        range: &FlushRange,
        target: Target,
        told: &Told<N>,
    ) -> Option<(usize, u64)> {
        let place = self.places.iter().position(Option::is_none)?;
        let (id, span) = (self.next_id, Span::of(range));
        self.next_id += 1;
        let status = if self.run().is_some() {
            Status::Joining
        } else {
            self.table.push(span, place);
            self.table.settle();
            Status::Joined
        };
        let number = self.number_for_new();
        told.get(place)?.store(number, Ordering::Relaxed);
        *self.places.get_mut(place)? = Some(Place {
            status,
            target,
            span,
            id,
            newest: None,
        });
        Some((place, id))
    }

    /// While an invalidation runs that may concern a newcomer who was not told, the newcomer's readers wait as if he had been. Otherwise
    /// his number is one that no reader of his place's former owner can have.
    fn number_for_new(&mut self) -> u64 {
        if self.running > 0 && !Defect::NewcomerNotHeldOff.is_put_back() {
            self.sequence |= 1;
            return self.sequence;
        }
        self.sequence += 2;
        self.sequence - 1
    }

    /// Takes a subscription off: whether it is gone, or goes when the run ends. Nothing where it is none.
    pub(super) fn remove(&mut self, place: usize, id: u64, told: &Told<N>) -> Option<bool> {
        let in_run = self.run().is_some();
        let slot = self.places.get_mut(place)?;
        let subscribed = slot
            .as_mut()
            .filter(|at| at.id == id && at.status != Status::Leaving)?;
        told.get(place)?.store(NEVER, Ordering::Relaxed);
        if in_run && subscribed.status == Status::Joined {
            subscribed.status = Status::Leaving;
            return Some(false);
        }
        *slot = None;
        if !in_run {
            self.table.retain(|of| of != place);
            self.table.settle();
        }
        Some(true)
    }

    /// The number that a reader of this subscription begins with. Nothing where it is none.
    pub(super) fn number(&self, place: usize, id: u64, told: &Told<N>) -> Option<u64> {
        let at = self.places.get(place)?.as_ref()?;
        let subscribed = at.id == id && at.status != Status::Leaving;
        subscribed.then_some(told.get(place)?.load(Ordering::Relaxed))
    }

    /// Begins an invalidation: the positions among which those are that it concerns. From here on their readers wait, or try again.
    pub(super) fn begin(&mut self, span: Span, told: &Told<N>) -> Range<usize> {
        self.running += 1;
        let reached = self.table.reached(span);
        if reached.is_empty() {
            return reached;
        }
        self.sequence |= 1;
        for (_, entry) in self.table.overlapping(reached.clone(), span) {
            if let Some(number) = told.get(entry.place)
                && !Defect::SequenceNotRaised.is_put_back()
            {
                number.store(self.sequence, Ordering::Relaxed);
            }
        }
        reached
    }

    /// The next one among these positions that the invalidation concerns, and its position.
    pub(super) fn next(&self, among: Range<usize>, span: Span) -> Option<(usize, Target)> {
        let mut concerned = self.table.overlapping(among, span);
        let (position, entry) = concerned.next()?;
        Some((position, self.places.get(entry.place)?.as_ref()?.target))
    }

    /// Ends an invalidation; whether it was the last of its run, so that everybody may go on.
    pub(super) fn end(&mut self) -> bool {
        self.running = self.running.saturating_sub(1);
        if self.running > 0 || self.run().is_none() {
            return false;
        }
        self.sequence += 1;
        self.change_table();
        true
    }

    /// Does what the run has held back.
    fn change_table(&mut self) {
        let places = &mut self.places;
        let leaves = |place: usize| {
            let at = places.get(place).and_then(Option::as_ref);
            at.is_none_or(|at| at.status == Status::Leaving)
        };
        self.table.retain(|place| !leaves(place));
        for (index, slot) in places.iter_mut().enumerate() {
            match slot {
                Some(at) if at.status == Status::Leaving => *slot = None,
                Some(at) if at.status == Status::Joining => {
                    at.status = Status::Joined;
                    self.table.push(at.span, index);
                }
                _ => {}
            }
        }
        self.table.settle();
    }

    fn at(&self, position: usize) -> Option<&Place> {
        let place = self.table.place(position)?;
        self.places.get(place)?.as_ref()
    }

    fn at_mut(&mut self, position: usize) -> Option<&mut Place> {
        let place = self.table.place(position)?;
        self.places.get_mut(place)?.as_mut()
    }

    /// The one at this position has to reach this mark.
    pub(super) fn owes(&mut self, position: usize, mark: Mark) {
        if let Some(at) = self.at_mut(position) {
            let newer = at.newest.filter(|_| !Defect::OlderMarkWins.is_put_back());
            at.newest = newer.max(Some(mark));
        }
    }

    /// The newest mark that the one at this position has to reach: no older than the one that any invalidation that is under way asked for.
    pub(super) fn owed(&self, position: usize) -> Option<Mark> {
        self.at(position)?.newest
    }

    /// The one at this position has reached this mark.
    pub(super) fn has_reached(&mut self, position: usize, mark: Mark) {
        if let Some(at) = self.at_mut(position) {
            at.newest = at.newest.filter(|newest| *newest > mark);
        }
    }
}
