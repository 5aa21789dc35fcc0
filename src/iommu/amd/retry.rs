//! How far the second stage, and the recovery from its errors, have got. Kept under the ring lock, taken further by
//! [`stages`](super::stages) and [`recovery`](super::recovery).

use super::event::Event;

/// The second-stage commands that are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Fences before this one do not wait for it.
    pub(super) since: u64,
    /// The devices whose TLBs it concerns.
    pub(super) devices: u64,
    pub(super) step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It was handed over, up to and including this COMPLETION_WAIT.
    Sent { wait: u64 },
    /// It is complete, but for devices that have not answered: the next of those is to be asked.
    Settling,
    /// The device in this slot was asked alone, `tries` times so far.
    Asked { slot: usize, wait: u64, tries: u32 },
    /// The device in this slot is to be cut off: its table entry is written, the IOMMU may have the old one cached.
    CutOff { slot: usize },
    /// The invalidation of the table entry is under way.
    Cutting { wait: u64 },
}

/// Where the event log stands. Only while it runs does its silence mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogState {
    Runs,
    /// It was switched off, which may take its time.
    Stopping,
    /// It was switched on again, which may take its time as well.
    Starting,
}

/// A halt of the command buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halts {
    /// Where it last happened.
    pub(super) position: Option<u64>,
    /// How often it has happened there.
    pub(super) count: u32,
    /// The command there was replaced.
    pub(super) replaced: bool,
    /// What the event log said of it.
    pub(super) cause: Option<Cause>,
    /// How often the buffer was found halted since it was started anew.
    pub(super) patience: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The command is one that the IOMMU refuses.
    Illegal,
    /// It could not be fetched.
    Hardware,
}

impl Cause {
    pub(super) const fn of(event: &Event) -> Option<Self> {
        match event.kind() {
            Event::ILLEGAL_COMMAND => Some(Self::Illegal),
            Event::COMMAND_HARDWARE => Some(Self::Hardware),
            _ => None,
        }
    }
}
