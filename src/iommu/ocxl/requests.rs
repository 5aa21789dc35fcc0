//! Invalidations that wait for the registers: a small store that widens what it holds before it refuses anything.
//!
//! Requests of one process are merged upward, page < range < process, never dropped. A merged request keeps the age of its oldest part,
//! so that whoever waits for that part waits for the whole.

use super::command::{Launch, LeafSize};
use super::ids::Pid;
use crate::address::VirtAddr;
use crate::secondary::Full;

/// What is to be invalidated of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everything.
    Process,
    /// So many pages of this size, one after the other.
    Pages {
        first: u64,
        count: u64,
        size: LeafSize,
    },
}

impl Extent {
    /// Whether this covers the other. Pages of another size it does not: they are other entries.
    fn covers(&self, other: &Self) -> bool {
        let (
            Self::Pages { first, count, size },
            Self::Pages {
                first: from,
                count: more,
                size: same,
            },
        ) = (*self, *other)
        else {
            return *self == Self::Process;
        };
        let shift = size.page_size().shift();
        size == same
            && first <= from
            && ((from - first) >> shift)
                .checked_add(more)
                .is_some_and(|end| end <= count)
    }

    /// The first invalidation of it, and what is left then.
    fn split(self, pid: Pid) -> (Launch, Option<Self>) {
        let Self::Pages { first, count, size } = self else {
            return (Launch::process(pid), None);
        };
        let launch = Launch::page(pid, VirtAddr::new(first), size);
        let rest = (count > 1).then(|| Self::Pages {
            first: first.wrapping_add(size.page_size().bytes()),
            count: count - 1,
            size,
        });
        (launch, rest)
    }
}

#[derive(Clone, Copy, Debug)]
struct Request {
    pid: Pid,
    extent: Extent,
    /// The number of its oldest part.
    since: u64,
}

/// The requests that have not been launched, or not to their end.
#[derive(Debug)]
pub(super) struct Requests<const N: usize> {
    places: [Option<Request>; N],
}

impl<const N: usize> Requests<N> {
    pub(super) const fn new() -> Self {
        Self { places: [None; N] }
    }

    /// Adds a request, the youngest so far. Gives how many requests were widened to whole processes for want of room.
    ///
    /// # Errors
    /// [`Full`] where every place is another process's: never while there are places for all that are attached.
    pub(super) fn add(&mut self, pid: Pid, extent: Extent, number: u64) -> Result<u32, Full> {
        if self.of(pid).any(|request| request.extent.covers(&extent)) {
            return Ok(0);
        }
        let mut request = Request {
            pid,
            extent,
            since: number,
        };
        let mut widened = 0;
        if extent == Extent::Process {
            request.since = self.take_all(pid).unwrap_or(number);
        } else if self.is_full() && self.of(pid).next().is_some() {
            // Its own first: those it costs are its own.
            widened = self.of(pid).count() as u32 + 1;
            request.extent = Extent::Process;
            request.since = self.take_all(pid).unwrap_or(number);
        }
        if self.is_full() {
            widened += self.merge_one()?;
        }
        if let Some(place) = self.places.iter_mut().find(|place| place.is_none()) {
            *place = Some(request);
        }
        Ok(widened)
    }

    /// Takes the next invalidation, of the oldest request, and its number.
    pub(super) fn next(&mut self) -> Option<(Launch, u64)> {
        let since = self.oldest()?;
        let place = self
            .places
            .iter_mut()
            .find(|place| place.is_some_and(|request| request.since == since))?;
        let request = (*place)?;
        let (launch, rest) = request.extent.split(request.pid);
        *place = rest.map(|extent| Request { extent, ..request });
        Some((launch, since))
    }

    /// The number of the oldest request.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.all().map(|request| request.since).min()
    }

    fn all(&self) -> impl Iterator<Item = &Request> {
        self.places.iter().flatten()
    }

    fn of(&self, pid: Pid) -> impl Iterator<Item = &Request> {
        self.all().filter(move |request| request.pid == pid)
    }

    fn is_full(&self) -> bool {
        self.places.iter().all(Option::is_some)
    }

    /// Takes every request of a process away; gives the number of the oldest.
    fn take_all(&mut self, pid: Pid) -> Option<u64> {
        let oldest = self.of(pid).map(|request| request.since).min();
        for place in &mut self.places {
            if place.is_some_and(|request| request.pid == pid) {
                *place = None;
            }
        }
        oldest
    }

    /// Merges the requests of one process that has several. Gives how many those were.
    fn merge_one(&mut self) -> Result<u32, Full> {
        let pid = self
            .all()
            .map(|request| request.pid)
            .find(|pid| self.of(*pid).count() > 1)
            .ok_or(Full)?;
        let merged = self.of(pid).count() as u32;
        if let Some(since) = self.take_all(pid)
            && let Some(place) = self.places.iter_mut().find(|place| place.is_none())
        {
            *place = Some(Request {
                pid,
                extent: Extent::Process,
                since,
            });
        }
        Ok(merged)
    }
}

#[cfg(test)]
mod tests;
