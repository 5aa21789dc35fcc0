//! The accelerators behind a link, as far as their contexts begin and end (OpenCAPI, AFU control DVSEC: the PASID to terminate, and a bit
//! that stays set while the accelerator is busy with it).

use alloc::collections::BTreeSet;

/// One function's accelerator.
#[derive(Clone, Debug, Default)]
pub(super) struct Accelerator {
    ended: BTreeSet<u32>,
    /// The termination under way, and for how many polls.
    ending: Option<(u32, u32)>,
    /// Terminations do not end.
    pub(super) stuck: bool,
}

impl Accelerator {
    /// The context may make accesses from now on.
    pub(super) fn begin(&mut self, pasid: u32) {
        self.ended.remove(&pasid);
    }

    pub(super) fn runs(&self, pasid: u32) -> bool {
        !self.ended.contains(&pasid)
    }

    /// Starts a termination; false where another is under way.
    pub(super) fn end(&mut self, pasid: u32, polls: u32) -> bool {
        let is_free = self.ending.is_none_or(|(under_way, _)| under_way == pasid);
        if is_free {
            self.ending = Some((pasid, polls));
        }
        is_free
    }

    /// Whether a termination is still under way, and of whom; the poll lets time pass.
    pub(super) fn poll(&mut self) -> Option<u32> {
        let (pasid, polls) = self.ending?;
        if self.stuck || polls > 0 {
            self.ending = Some((pasid, polls.saturating_sub(1)));
            return Some(pasid);
        }
        self.ended.insert(pasid);
        self.ending = None;
        None
    }
}
