//! What IOMMUs with a command queue share: where the producer and the consumer of a ring stand.
//!
//! Every place in a ring is a *position*: the number of entries written before it since the ring was set up, a `u64` that
//! never goes back. A submission is "done up to position p", two submissions compare as integers, and nobody needs a flag
//! that says whether some wait is still owed: such flags, tested outside the lock, are how a caller returns before its own
//! invalidation has run. The index, the wrap bit and the byte offset that hardware knows are derived from positions.

/// The producer's account of one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positions {
    slots: u64,
    usable: u64,
    consumed: u64,
    published: u64,
    written: u64,
}

impl Positions {
    /// An empty ring of `1 << log2_slots` entries of which `gap` must stay free (0 where a wrap bit tells full from
    /// empty, 1 where equal indices mean empty).
    pub(crate) const fn new(log2_slots: u32, gap: u64) -> Self {
        let slots = 1 << log2_slots;
        Self {
            slots,
            usable: slots - gap,
            consumed: 0,
            published: 0,
            written: 0,
        }
    }

    /// How many entries can be outstanding at once.
    pub(crate) const fn usable(&self) -> u64 {
        self.usable
    }

    /// Every entry before this position is known to have been consumed.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Every entry before this position has been handed to the device.
    pub(crate) const fn published(&self) -> u64 {
        self.published
    }

    /// The position of the next entry.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// How many entries can be written.
    pub(crate) const fn free(&self) -> u64 {
        self.usable - (self.written - self.consumed)
    }

    /// The slot that holds a position.
    pub(crate) const fn slot(&self, position: u64) -> u64 {
        position & (self.slots - 1)
    }

    /// A position modulo twice the ring: index and wrap bit, as a mirrored ring's registers hold them.
    pub(crate) const fn wrapped(&self, position: u64) -> u64 {
        position & (2 * self.slots - 1)
    }

    /// Takes the next position for an entry, where a slot is free.
    pub(crate) fn push(&mut self) -> Option<u64> {
        if self.free() == 0 {
            return None;
        }
        let position = self.written;
        self.written += 1;
        Some(position)
    }

    /// Declares everything written as handed over; the positions that were not before, if there are any.
    pub(crate) fn publish(&mut self) -> Option<core::ops::Range<u64>> {
        if self.published == self.written {
            return None;
        }
        let fresh = self.published..self.written;
        self.published = self.written;
        Some(fresh)
    }

    /// As [`Self::publish`] for what stands before a position; whether that was new.
    pub(crate) fn publish_to(&mut self, position: u64) -> bool {
        let fresh = self.published < position && position <= self.written;
        if fresh {
            self.published = position;
        }
        fresh
    }

    /// As [`Self::discard`] for a consumer that begins at the first slot again.
    pub(crate) fn restart(&mut self) {
        self.written = self.written.next_multiple_of(self.slots);
        self.discard();
    }

    /// Counts everything written as consumed: for a queue that was switched off with nobody waiting for it.
    pub(crate) fn discard(&mut self) {
        self.published = self.written;
        self.consumed = self.written;
    }

    /// Takes in the device's progress: the consumer's position modulo `modulus`, a power of two above the ring's size.
    ///
    /// A value that no consumer of the published entries could have (all ones from a device that is gone) changes
    /// nothing.
    pub(crate) fn observe(&mut self, low: u64, modulus: u64) {
        let ahead = low.wrapping_sub(self.consumed) & (modulus - 1);
        if ahead <= self.published - self.consumed {
            self.consumed += ahead;
        }
    }

    /// As [`Self::observe`] for the index and wrap bit of a mirrored ring.
    pub(crate) fn observe_wrapped(&mut self, wrapped: u64) {
        self.observe(wrapped, 2 * self.slots);
    }
}

#[cfg(test)]
mod tests {
    use super::Positions;

    /// Every entry of every size can be used, and index and wrap bit follow for several laps (ARM IHI 0070 3.5.1).
    #[test]
    fn wraps_at_every_size() {
        for log2 in 0..=19 {
            let mut ring = Positions::new(log2, 0);
            let slots = 1u64 << log2;
            for lap in 0..5u64 {
                for index in 0..slots {
                    let position = ring.push().expect("all 2^n entries are usable");
                    assert_eq!(ring.slot(position), index);
                    assert_eq!(ring.wrapped(position), index | (lap & 1) << log2);
                }
                assert_eq!(ring.push(), None, "full at {log2}");
                assert_eq!(ring.publish(), Some(lap * slots..(lap + 1) * slots));
                ring.observe_wrapped(((lap + 1) & 1) << log2);
                assert_eq!(ring.consumed(), (lap + 1) * slots);
            }
        }
    }

    #[test]
    fn the_smallest_ring_alternates_its_wrap_bit() {
        let mut ring = Positions::new(0, 0);
        let first = ring.push().unwrap();
        assert_eq!(ring.wrapped(first), 0);
        ring.publish();
        assert_eq!(ring.wrapped(ring.written()), 1);
        ring.observe_wrapped(1);
        let second = ring.push().unwrap();
        assert_eq!(ring.wrapped(second), 1);
        ring.publish();
        assert_eq!(ring.wrapped(ring.written()), 0);
    }

    #[test]
    fn a_gap_keeps_one_slot_free() {
        let mut ring = Positions::new(3, 1);
        assert_eq!(ring.usable(), 7);
        for _ in 0..7 {
            assert!(ring.push().is_some());
        }
        assert_eq!(ring.push(), None);
    }

    #[test]
    fn progress_that_cannot_be_is_ignored() {
        let mut ring = Positions::new(4, 0);
        for _ in 0..5 {
            ring.push();
        }
        ring.publish();
        ring.push();
        ring.observe_wrapped(6);
        assert_eq!(ring.consumed(), 0, "entry 5 was never published");
        ring.observe_wrapped(0x1f);
        assert_eq!(ring.consumed(), 0, "all ones");
        ring.observe_wrapped(5);
        assert_eq!(ring.consumed(), 5);
        ring.observe_wrapped(6);
        assert_eq!(ring.consumed(), 5, "entry 5 is still unpublished");
    }

    #[test]
    fn a_restart_begins_at_the_first_slot_and_reuses_no_position() {
        let mut ring = Positions::new(3, 1);
        ring.restart();
        assert_eq!(ring.written(), 0);
        ring.push();
        ring.restart();
        assert_eq!((ring.written(), ring.free()), (8, 7));
        assert_eq!(ring.publish(), None);
    }

    #[test]
    fn what_was_written_later_is_not_published() {
        let mut ring = Positions::new(3, 1);
        ring.push();
        ring.push();
        assert_eq!(ring.published(), 0);
        assert!(ring.publish_to(1));
        assert_eq!(ring.published(), 1);
        assert!(!ring.publish_to(1));
        assert!(!ring.publish_to(3), "entry 2 was never written");
    }

    #[test]
    fn nothing_is_published_twice() {
        let mut ring = Positions::new(3, 0);
        assert_eq!(ring.publish(), None);
        ring.push();
        ring.push();
        assert_eq!(ring.publish(), Some(0..2));
        assert_eq!(ring.publish(), None);
    }
}
