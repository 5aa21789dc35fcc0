//! What the link's lock protects.

use super::command::Launch;
use super::config::{Config, Context, Mode, Process};
use super::requests::Requests;
use super::spa::Spa;
use crate::cost::Cost;
use crate::iommu::spaces::Spaces;

/// What never changes after set-up, and needs no lock.
#[derive(Debug)]
pub(super) struct Hardware<M, B> {
    pub(super) mode: Mode<M>,
    pub(super) barriers: B,
    pub(super) config: Config,
    pub(super) spa_phys: u64,
    pub(super) pasids: u32,
}

/// One process under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttachedProcess {
    pub(super) process: Process,
    pub(super) life: Life,
    /// One of its elements has been valid.
    pub(super) walked: bool,
}

/// How far the end of a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Its elements may be made valid.
    Open,
    /// Its elements go.
    Ending,
    /// They are gone, and a CPU is at the flush of what was cached through them.
    Flushing,
    /// Nothing of it is left once the invalidation of this number is complete.
    Ended(u64),
}

/// One process element and its user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// The slot of its process.
    pub(super) owner: usize,
    pub(super) context: Context,
    pub(super) stage: Stage,
    /// A CPU has asked the host for the next step, and waits for the answer.
    pub(super) claimed: bool,
}

/// The life of a process element, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its PASID is taken, and it was never valid.
    Reserved,
    /// Valid: its device may use it.
    Valid,
    /// Valid, and its device was asked to end its accesses.
    Terminating,
    /// Emptied; the link may have it cached.
    Cached,
    /// Nowhere.
    Gone,
}

#[derive(Debug)]
pub(super) struct State<const SLOTS: usize, const REQUESTS: usize> {
    pub(super) spa: Spa,
    pub(super) processes: Spaces<AttachedProcess, SLOTS>,
    pub(super) elements: [Option<Element>; SLOTS],
    pub(super) requests: Requests<REQUESTS>,
    /// The number of the youngest request.
    pub(super) youngest: u64,
    /// What was written to the registers and is not known to be complete, with the number of its request.
    pub(super) launched: Option<(Launch, u64)>,
    /// Nobody answered where the registers are. What was launched may have been lost, and is launched again.
    pub(super) lost: bool,
}

impl<const SLOTS: usize, const REQUESTS: usize> State<SLOTS, REQUESTS> {
    pub(super) const fn new(spa: Spa) -> Self {
        Self {
            spa,
            processes: Spaces::new(),
            elements: [None; SLOTS],
            requests: Requests::new(),
            youngest: 0,
            launched: None,
            lost: false,
        }
    }
}

/// The state under the lock, with all that is needed to act on it.
pub(super) struct Locked<'a, M, B, const SLOTS: usize, const REQUESTS: usize> {
    pub(super) hw: &'a Hardware<M, B>,
    pub(super) state: &'a mut State<SLOTS, REQUESTS>,
    pub(super) cost: &'a mut Cost,
}
