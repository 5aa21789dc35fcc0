//! The suite's words in these kernels.

use crate::kernel::memory;
use tlb_shootdown_model::conformance::{Entry, Frame, Passed};
use tlb_shootdown_scenarios::Access;

/// The frames under test, by their numbers here.
const FRAMES: [Frame; 2] = [Frame::First, Frame::Second];

/// What a page-table entry is made of: an address, and whether it is writable.
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

/// What was read, where the access was not refused.
pub(super) fn word(access: Access) -> Option<u64> {
    match access {
        Access::Done(word) => Some(word),
        Access::Refused(_) => None,
    }
}

/// Checks that were made, and checks that could not be.
pub(super) fn counts(passed: Passed) -> (u32, u32) {
    (passed.checks, passed.skipped)
}
