//! Sets of CPUs of a fixed size, plain and atomic.

use crate::sync::{AtomicU64, Ordering, array_of, const_unless_loom};
use core::fmt;

/// The kernel's number of a CPU, counted from 0 without gaps being needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct CpuId(u32);

impl CpuId {
    /// CPU number `index`.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    const fn word(self) -> usize {
        self.index() / 64
    }

    const fn bit(self) -> u64 {
        1 << (self.0 % 64)
    }
}

/// A set of up to `64 * WORDS` CPUs.
///
/// CPUs beyond the capacity are in no set: [`CpuSet::insert`] reports them, and the engine refuses such a CPU
/// when it comes online.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CpuSet<const WORDS: usize> {
    words: [u64; WORDS],
}

impl<const WORDS: usize> CpuSet<WORDS> {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; WORDS] };
    /// How many CPUs fit.
    pub const CAPACITY: usize = 64 * WORDS;

    /// The set of one CPU; empty where that CPU is beyond the capacity.
    pub fn of(cpu: CpuId) -> Self {
        let mut set = Self::EMPTY;
        set.insert(cpu);
        set
    }

    /// Adds a CPU. False where it is beyond the capacity.
    pub fn insert(&mut self, cpu: CpuId) -> bool {
        match self.words.get_mut(cpu.word()) {
            Some(word) => {
                *word |= cpu.bit();
                true
            }
            None => false,
        }
    }

    /// Removes a CPU.
    pub fn remove(&mut self, cpu: CpuId) {
        if let Some(word) = self.words.get_mut(cpu.word()) {
            *word &= !cpu.bit();
        }
    }

    /// Keeps the CPUs that `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(CpuId) -> bool) {
        let all = *self;
        for cpu in all.iter() {
            if !keep(cpu) {
                self.remove(cpu);
            }
        }
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, cpu: CpuId) -> bool {
        self.words
            .get(cpu.word())
            .is_some_and(|word| word & cpu.bit() != 0)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The number of CPUs in the set.
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether every CPU of the set is `cpu`; true of the empty set.
    pub fn is_within(&self, cpu: CpuId) -> bool {
        let mut rest = *self;
        rest.remove(cpu);
        rest.is_empty()
    }

    /// The CPUs that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// The CPUs that are in either set.
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The CPUs of this set that are not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        self.mask().iter()
    }

    /// A view that does not carry the capacity in its type.
    pub fn mask(&self) -> CpuMask<'_> {
        CpuMask { words: &self.words }
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.words;
        for (a, b) in words.iter_mut().zip(other.words) {
            *a = f(*a, b);
        }
        Self { words }
    }
}

impl<const WORDS: usize> fmt::Debug for CpuSet<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(CpuId::index))
            .finish()
    }
}

/// A borrowed set of CPUs of any capacity, as [`Platform::send_ipi`](crate::platform::Platform::send_ipi) gets it.
#[derive(Clone, Copy)]
pub struct CpuMask<'a> {
    words: &'a [u64],
}

impl<'a> CpuMask<'a> {
    /// The raw words: bit `n % 64` of word `n / 64` is CPU `n`.
    pub fn words(self) -> &'a [u64] {
        self.words
    }

    /// The CPUs in ascending order.
    pub fn iter(self) -> impl Iterator<Item = CpuId> + 'a {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            core::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(CpuId((index as u32) * 64 + bit))
            })
        })
    }
}

impl fmt::Debug for CpuMask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(CpuId::index))
            .finish()
    }
}

/// A set of CPUs that many CPUs read and change at once.
#[derive(Debug)]
pub struct AtomicCpuSet<const WORDS: usize> {
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> AtomicCpuSet<WORDS> {
    const_unless_loom! {
        /// The empty set.
        pub const fn new() -> Self {
            Self { words: array_of!(WORDS, AtomicU64::new(0)) }
        }
    }

    /// Adds a CPU; true where it was not in the set before. False, and without effect, beyond the capacity.
    pub fn insert(&self, cpu: CpuId, order: Ordering) -> bool {
        self.words
            .get(cpu.word())
            .is_some_and(|word| word.fetch_or(cpu.bit(), order) & cpu.bit() == 0)
    }

    /// Removes a CPU; true where it was in the set.
    pub fn remove(&self, cpu: CpuId, order: Ordering) -> bool {
        self.words
            .get(cpu.word())
            .is_some_and(|word| word.fetch_and(!cpu.bit(), order) & cpu.bit() != 0)
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, cpu: CpuId, order: Ordering) -> bool {
        self.words
            .get(cpu.word())
            .is_some_and(|word| word.load(order) & cpu.bit() != 0)
    }

    /// The set as it is now, word by word: not one instant for sets of several words.
    pub fn load(&self, order: Ordering) -> CpuSet<WORDS> {
        let mut set = CpuSet::EMPTY;
        for (word, atomic) in set.words.iter_mut().zip(&self.words) {
            *word = atomic.load(order);
        }
        set
    }

    /// Replaces the set, word by word.
    pub fn store(&self, set: &CpuSet<WORDS>, order: Ordering) {
        for (word, atomic) in set.words.iter().zip(&self.words) {
            atomic.store(*word, order);
        }
    }

    /// Empties the set and returns what was in it.
    pub fn take(&self, order: Ordering) -> CpuSet<WORDS> {
        let mut set = CpuSet::EMPTY;
        for (word, atomic) in set.words.iter_mut().zip(&self.words) {
            // A plain load first: polling an idle mailbox must not take its line away from the senders.
            if atomic.load(Ordering::Relaxed) != 0 {
                *word = atomic.swap(0, order);
            }
        }
        set
    }
}

impl<const WORDS: usize> Default for AtomicCpuSet<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}
