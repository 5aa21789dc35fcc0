//! Frames under test.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::layout::phys_of;

/// How many frames there are: two for each page of the scenarios, and one that no case uses.
pub const FRAMES: usize = 17;
/// The frame that no case uses.
pub const SPARE: usize = FRAMES - 1;

/// One page of memory, reached by processes and devices under translations of their own.
#[repr(C, align(4096))]
struct Frame([AtomicU64; 512]);

static POOL: [Frame; FRAMES] = [const { Frame([const { AtomicU64::new(0) }; 512]) }; FRAMES];

/// The physical address of frame `number`.
///
/// # Panics
/// Where there is no such frame, like the other functions here.
pub fn phys(number: usize) -> u64 {
    phys_of(&raw const POOL[number])
}

/// The first word of the frame, as the kernel sees it.
pub fn word(number: usize) -> u64 {
    POOL[number].0[0].load(Ordering::Relaxed)
}

/// Sets the first word of the frame, past every translation under test.
pub fn fill(number: usize, word: u64) {
    POOL[number].0[0].store(word, Ordering::Relaxed);
}

/// Whether a frame of the scenarios begins with this word.
pub fn holds(word: u64) -> bool {
    (0..SPARE).any(|number| self::word(number) == word)
}
