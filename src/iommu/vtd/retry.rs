//! How far the recovery from an error has got. Kept under the ring lock, taken further by [`recovery`](super::recovery).

/// A device-by-device retry in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    /// Fences up to here were complete before the error.
    pub(super) floor: u64,
    pub(super) step: Step,
    /// How many devices have timed out since it began.
    pub(super) time_outs: u64,
}

/// Each step's answer is its wait descriptor: complete once that position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything that the unit itself caches is to be invalidated anew.
    Redo,
    /// That is under way.
    Redoing { end: u64 },
    /// The next device is to be asked.
    Idle,
    /// The device in this slot was asked, by the descriptors from `start` on.
    Asked { slot: usize, start: u64, end: u64 },
}

/// How often the queue has stopped at one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    pub(super) position: Option<u64>,
    pub(super) count: u32,
    pub(super) replaced: bool,
}
