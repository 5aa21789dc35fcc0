//! How far the recovery from an error of the command queue has got. Kept under the ring lock, taken further by
//! [`recovery`](super::recovery).

/// A device-by-device retry in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    /// Fences up to here were complete before the error.
    pub(super) floor: u64,
    pub(super) step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next device is to be asked.
    Idle,
    /// The device in this slot was asked; the answer is the CMD_SYNC at `sync`.
    Asked { slot: usize, sync: u64 },
    /// The device in this slot is to be cut off: its table entry is written, the SMMU may have the old one cached.
    CutOff { slot: usize },
    /// The invalidation of the table entry is under way.
    Cutting { sync: u64 },
}

/// How often the queue has failed at one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    pub(super) position: Option<u64>,
    pub(super) count: u32,
    pub(super) replaced: bool,
}
