//! The descriptors under way.

use super::command::{Command, Illegal};
use crate::requests::Dropped;
use alloc::vec::Vec;

/// What has been fetched and not been done, in the order of the queue.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) outstanding: Vec<Command>,
    /// Refused, or given up.
    pub(super) dropped: Dropped,
    /// Polls that passed while nothing but a silent device was left.
    pub(super) waited: u32,
    /// The next descriptor but a wait is refused for this reason, whatever it says.
    pub(super) refuse: Option<Illegal>,
    /// Fetching goes on with the next write of the tail.
    pub(super) parked: bool,
    /// Nothing is fetched or done, as if the clock had stopped.
    pub(super) frozen: bool,
}

impl Work {
    /// Somebody waits for what is under way.
    pub(super) fn awaited(&self) -> bool {
        self.outstanding
            .iter()
            .any(|command| matches!(command, Command::Wait(_)))
    }

    /// Takes out what may be done next; `device_first` is whether device TLBs may overtake the unit's own.
    pub(super) fn ready(&self, device_first: bool) -> Vec<usize> {
        let fenced = |command: &Command| matches!(command, Command::Wait(wait) if wait.fence);
        let end = self.outstanding.iter().position(fenced);
        let within = end.map_or(self.outstanding.len(), |end| end + 1);
        let first_tlb = self
            .outstanding
            .iter()
            .position(|command| matches!(command, Command::Tlb(_)));
        let may = |index: &usize| match self.outstanding[*index] {
            Command::Wait(_) => *index == 0,
            Command::Device(_) => device_first || first_tlb.is_none_or(|tlb| *index < tlb),
            _ => true,
        };
        (0..within).filter(may).collect()
    }

    /// What waits for completion will not get it (6.5.2.11).
    pub(super) fn abort_waits(&mut self) {
        self.outstanding
            .retain(|command| !matches!(command, Command::Wait(_)));
    }
}
