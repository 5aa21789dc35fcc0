//! Frames with owners: free ones are handed out again at once, so that a use after free meets its next owner.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Where memory begins: not 0, so that a forgotten address is no memory.
const BASE: u64 = 0x8000_0000;

/// The owner of a frame: each allocation is another one, so that a late use can be told from the new owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

#[derive(Debug)]
struct Frame {
    size: u64,
    owner: Option<Owner>,
}

/// Every frame that was ever handed out. Contents are sparse: a 1 GiB frame costs what is written to it.
#[derive(Debug)]
pub(crate) struct Frames {
    next: u64,
    allocations: u64,
    frames: BTreeMap<u64, Frame>,
    free: Vec<u64>,
    /// What other observers than the storing CPU see.
    words: BTreeMap<u64, u64>,
    /// What was stored last, on its way or not: the truth that the oracle goes by.
    latest: BTreeMap<u64, u64>,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            next: BASE,
            allocations: 0,
            frames: BTreeMap::new(),
            free: Vec::new(),
            words: BTreeMap::new(),
            latest: BTreeMap::new(),
        }
    }
}

impl Frames {
    /// Takes address space that is not a frame's.
    pub(crate) fn reserve(&mut self, len: u64, align: u64) -> u64 {
        let base = self.next.next_multiple_of(align);
        self.next = (base + len).next_multiple_of(0x1000);
        base
    }

    /// A zeroed frame of `size` bytes (a power of two), aligned to it: the one freed last, if any has this size.
    pub(crate) fn allocate(&mut self, size: u64) -> u64 {
        self.allocations += 1;
        let owner = Some(Owner(self.allocations));
        let base = match self.take_free(size) {
            Some(base) => base,
            None => self.reserve(size, size),
        };
        self.clear(base, size);
        self.frames.insert(base, Frame { size, owner });
        base
    }

    /// Frees the frame at `base`; false where there is none, or it is free already.
    pub(crate) fn free(&mut self, base: u64) -> bool {
        let freed = self
            .frames
            .get_mut(&base)
            .is_some_and(|frame| frame.owner.take().is_some());
        if freed {
            self.free.push(base);
        }
        freed
    }

    /// Who owns the memory at `pa` now.
    pub(crate) fn owner(&self, pa: u64) -> Option<Owner> {
        self.frame(pa)?.owner
    }

    /// Whether there is memory at `pa`, owned or free.
    pub(crate) fn exists(&self, pa: u64) -> bool {
        self.frame(pa).is_some()
    }

    fn frame(&self, pa: u64) -> Option<&Frame> {
        let (base, frame) = self.frames.range(..=pa).next_back()?;
        (pa - base < frame.size).then_some(frame)
    }

    pub(crate) fn read(&self, pa: u64) -> u64 {
        self.words.get(&(pa & !7)).copied().unwrap_or(0)
    }

    /// The word as the last store in program order left it.
    pub(crate) fn latest(&self, pa: u64) -> u64 {
        self.latest.get(&(pa & !7)).copied().unwrap_or(0)
    }

    /// Every word of `[base, base + len)` that is not zero, by address.
    pub(crate) fn written(&self, base: u64, len: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let words = self.words.range(base..base + len);
        words
            .filter(|(_, value)| **value != 0)
            .map(|(&pa, &value)| (pa, value))
    }

    /// A store that is everybody's at once.
    pub(crate) fn write(&mut self, pa: u64, value: u64) {
        self.store(pa, value);
        self.arrive(pa, value);
    }

    /// A store that is still on its way.
    pub(crate) fn store(&mut self, pa: u64, value: u64) {
        self.latest.insert(pa & !7, value);
    }

    /// The arrival of such a store.
    pub(crate) fn arrive(&mut self, pa: u64, value: u64) {
        self.words.insert(pa & !7, value);
    }

    fn take_free(&mut self, size: u64) -> Option<u64> {
        let fits = |base: &u64| {
            self.frames
                .get(base)
                .is_some_and(|frame| frame.size == size)
        };
        let index = self.free.iter().rposition(fits)?;
        Some(self.free.remove(index))
    }

    fn clear(&mut self, base: u64, size: u64) {
        for words in [&mut self.words, &mut self.latest] {
            let stale: Vec<u64> = words.range(base..base + size).map(|(&pa, _)| pa).collect();
            for pa in stale {
                words.remove(&pa);
            }
        }
    }
}
