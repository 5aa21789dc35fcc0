//! What a page-table entry of the suite is made of in these kernels.

use crate::kernel::memory;
use tlb_shootdown_model::conformance::{Entry, Frame};

/// The frames under test, by their numbers here.
pub(super) const FRAMES: [Frame; 2] = [Frame::First, Frame::Second];

/// An address, and whether it is writable.
pub(super) fn mapped(entry: Entry) -> Option<(u64, bool)> {
    let (frame, writable) = match entry {
        Entry::Nothing => return None,
        Entry::ReadOnly(frame) => (frame, false),
        Entry::ReadWrite(frame) => (frame, true),
    };
    Some((memory::phys(frame as usize), writable))
}

/// Puts their words into the frames.
pub(super) fn fill_frames() {
    for frame in FRAMES {
        memory::fill(frame as usize, frame.word());
    }
}
