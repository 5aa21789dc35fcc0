//! Memory that a driver writes through a pointer and a device reads.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// One 4 KiB page of host memory, aligned as a driver may expect it.
#[repr(align(4096))]
struct HostPage([AtomicU64; 512]);

/// A block in three versions: the driver's stores, what a barrier has published of them, and what was cleaned from the CPUs' caches.
///
/// Stores through the pointer carry no CPU number, so a device sees them as late as the architecture allows: at the next
/// barrier of anybody.
pub(crate) struct Block {
    base: u64,
    live: Box<[HostPage]>,
    published: Vec<u64>,
    /// What a device finds that does not snoop the CPUs' caches.
    cleaned: Vec<u64>,
}

impl Block {
    pub(crate) fn new(base: u64, len: u64) -> Self {
        let pages = len.div_ceil(0x1000) as usize;
        let page = || HostPage([const { AtomicU64::new(0) }; 512]);
        Self {
            base,
            live: (0..pages).map(|_| page()).collect(),
            published: alloc::vec![0; pages * 512],
            cleaned: alloc::vec![0; pages * 512],
        }
    }

    /// Where the driver finds the block. The words are atomics, so that stores through the pointer are allowed.
    pub(crate) fn pointer(&self) -> NonNull<u8> {
        let pages: &[HostPage] = &self.live;
        NonNull::from(pages).cast()
    }

    pub(crate) fn holds(&self, pa: u64) -> bool {
        pa >= self.base && (pa - self.base) / 8 < self.published.len() as u64
    }

    pub(crate) fn live(&self, pa: u64) -> u64 {
        self.word(self.index(pa)).load(Ordering::Acquire)
    }

    pub(crate) fn published(&self, pa: u64) -> u64 {
        self.published.get(self.index(pa)).copied().unwrap_or(0)
    }

    pub(crate) fn cleaned(&self, pa: u64) -> u64 {
        self.cleaned.get(self.index(pa)).copied().unwrap_or(0)
    }

    /// A write by the machine itself, visible to all sides.
    pub(crate) fn write(&mut self, pa: u64, value: u64) {
        self.merge(pa, u64::MAX, value);
    }

    /// The same of the bits in `mask`: what the driver has just stored beside them stays the driver's.
    pub(crate) fn merge(&mut self, pa: u64, mask: u64, value: u64) {
        let index = self.index(pa);
        let merged = |old: u64| old & !mask | value & mask;
        let word = self.word(index);
        let mut old = word.load(Ordering::Acquire);
        while let Err(newer) =
            word.compare_exchange(old, merged(old), Ordering::AcqRel, Ordering::Acquire)
        {
            old = newer;
        }
        for version in [&mut self.published, &mut self.cleaned] {
            if let Some(word) = version.get_mut(index) {
                *word = merged(*word);
            }
        }
    }

    /// Cleans the cache lines of 64 bytes that hold `[start, start + len)`, as far as they are this block's.
    pub(crate) fn clean(&mut self, start: usize, len: usize) {
        let base = self.pointer().as_ptr() as usize;
        let end = base + self.cleaned.len() * 8;
        let (first, last) = (start.max(base) & !63, (start + len).min(end));
        for at in (first..last.next_multiple_of(64)).step_by(8) {
            let index = (at - base) / 8;
            let value = self.word(index).load(Ordering::Acquire);
            if let Some(word) = self.cleaned.get_mut(index) {
                *word = value;
            }
        }
    }

    pub(crate) fn publish(&mut self) {
        for index in 0..self.published.len() {
            let value = self.word(index).load(Ordering::Acquire);
            if let Some(word) = self.published.get_mut(index) {
                *word = value;
            }
        }
    }

    fn index(&self, pa: u64) -> usize {
        ((pa - self.base) / 8) as usize
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.live[index / 512].0[index % 512]
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("base", &format_args!("{:#x}", self.base))
            .field("words", &self.published.len())
            .finish_non_exhaustive()
    }
}
