//! Frames under test: a block of them, which one large page can map.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::layout::phys_of;

/// How many frames there are: as many as a large page maps. Cases use the first of them, two for each page of the scenarios.
pub const FRAMES: usize = 512;
/// The frame that no case uses.
pub const SPARE: usize = 16;

/// One page of memory, reached by processes and devices under translations of their own.
#[repr(C, align(4096))]
struct Frame([AtomicU64; 512]);

/// Aligned to its own 2 MiB.
#[repr(C, align(0x20_0000))]
struct Block([Frame; FRAMES]);

static POOL: Block = Block([const { Frame([const { AtomicU64::new(0) }; 512]) }; FRAMES]);

/// The physical address of frame `number`.
///
/// # Panics
/// Where there is no such frame, like the other functions here.
pub fn phys(number: usize) -> u64 {
    phys_of(&raw const POOL.0[number])
}

/// The first word of the frame, as the kernel sees it.
pub fn word(number: usize) -> u64 {
    POOL.0[number].0[0].load(Ordering::Relaxed)
}

/// Sets the first word of the frame, past every translation under test.
pub fn fill(number: usize, word: u64) {
    POOL.0[number].0[0].store(word, Ordering::Relaxed);
}

/// Whether a frame of the scenarios holds this word anywhere.
pub fn holds(word: u64) -> bool {
    let mut frames = POOL.0[..SPARE].iter().flat_map(|frame| &frame.0);
    frames.any(|held| held.load(Ordering::Relaxed) == word)
}
