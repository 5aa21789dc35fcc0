//! One bit for each identifier. Read and written under the allocator's lock alone.

use crate::sync::{AtomicU64, Ordering, array_of, const_unless_loom};

#[derive(Debug)]
pub(super) struct Bitmap<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Bitmap<WORDS> {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(array_of!(WORDS, AtomicU64::new(0)))
        }
    }

    /// Sets the bit; true where it was clear.
    pub(super) fn set(&self, number: u64) -> bool {
        self.change(number, |word, bit| word | bit) & bit(number) == 0
    }

    /// Whether the bit is set; of bits beyond the end none is. Relaxed, and so of use without the lock where a stale answer is.
    pub(super) fn is_set(&self, number: u64) -> bool {
        let word = self.0.get(index(number));
        word.is_some_and(|word| word.load(Ordering::Relaxed) & bit(number) != 0)
    }

    pub(super) fn clear(&self, number: u64) {
        self.change(number, |word, bit| word & !bit);
    }

    pub(super) fn copy_from(&self, other: &Self) {
        for (to, from) in self.0.iter().zip(&other.0) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The first clear bit in `from..to`.
    pub(super) fn first_clear(&self, from: u64, to: u64) -> Option<u64> {
        let mut number = from;
        while number < to {
            let word = self.0.get(index(number))?.load(Ordering::Relaxed);
            let clear = !word & (u64::MAX << (number % 64));
            if clear != 0 {
                let found = (number & !63) + u64::from(clear.trailing_zeros());
                return (found < to).then_some(found);
            }
            number = (number & !63) + 64;
        }
        None
    }

    /// Replaces a word by `f(word, bit)` and returns what it was; all ones, and without effect, beyond the end.
    fn change(&self, number: u64, f: impl Fn(u64, u64) -> u64) -> u64 {
        let Some(word) = self.0.get(index(number)) else {
            return u64::MAX;
        };
        let before = word.load(Ordering::Relaxed);
        word.store(f(before, bit(number)), Ordering::Relaxed);
        before
    }
}

const fn index(number: u64) -> usize {
    (number / 64) as usize
}

const fn bit(number: u64) -> u64 {
    1 << (number % 64)
}
