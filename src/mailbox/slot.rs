//! One CPU's request slot: written by its owner, read by any number of targets, torn reads detected.

use super::request::Request;
use crate::sync::{AtomicU32, AtomicU64, Ordering, array_of, const_unless_loom, fence};

/// A request under a sequence count, and its generation.
pub(super) struct RequestSlot {
    /// Odd while the owner writes.
    sequence: AtomicU32,
    words: [AtomicU64; Request::WORDS],
    /// The latest request. Stored after the words, so that who reads it finds words at least as new.
    generation: AtomicU64,
    /// Every request up to this one has been acknowledged by all its targets.
    settled: AtomicU64,
}

impl RequestSlot {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self {
                sequence: AtomicU32::new(0),
                words: array_of!(Request::WORDS, AtomicU64::new(0)),
                generation: AtomicU64::new(0),
                settled: AtomicU64::new(0),
            }
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// The owner found that nobody owes an answer to the current request.
    pub(super) fn settle(&self) {
        self.settled
            .store(self.generation.load(Ordering::Relaxed), Ordering::Release);
    }

    /// The owner's view of its own request.
    pub(super) fn own(&self) -> Request {
        Request::decode(self.load())
    }

    /// The owner replaces the request, then raises the generation.
    pub(super) fn publish(&self, request: &Request, generation: u64) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // The odd count before the words: a reader that sees a new word sees the count move.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(request.encode()) {
            word.store(value, Ordering::Relaxed);
        }
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
        self.generation.store(generation, Ordering::Release);
    }

    /// Another CPU's view: nothing where the owner was writing meanwhile. Never waits.
    pub(super) fn read(&self) -> Option<Request> {
        let before = self.sequence.load(Ordering::Acquire);
        let words = self.load();
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then(|| Request::decode(words))
    }

    fn load(&self) -> [u64; Request::WORDS] {
        let mut words = [0; Request::WORDS];
        for (value, word) in words.iter_mut().zip(&self.words) {
            *value = word.load(Ordering::Relaxed);
        }
        words
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Whatever stands there, nobody takes a request that its owner is writing.
    #[test]
    fn promise_05_request_that_is_being_written_is_not_read() {
        let slot = RequestSlot::new();
        slot.publish(&Request::Everything, 1);
        assert_eq!(slot.read(), Some(Request::Everything));
        slot.sequence.store(3, Ordering::Relaxed);
        assert_eq!(slot.read(), None);
    }
}
