//! The CPUs' part of whatever is waited for, and until when.

use crate::cost::Cost;
use crate::cpu_set::CpuSet;
use crate::deadline::Deadline;
use crate::defects::Defect;
use crate::mailbox::Posted;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::stats::Stats;

/// CPUs that were asked and have not answered, and the one deadline of CPUs and devices.
pub(crate) struct CpuWaits<'e, P: Platform, const WORDS: usize> {
    pub(crate) engine: &'e Shootdown<P, WORDS>,
    posted: Option<Posted>,
    /// Targets that have not acknowledged.
    cpus: CpuSet<WORDS>,
    deadline: Deadline,
    /// How often it was pressed.
    pressed: u32,
    /// The latest round of NMIs that may answer in place of an acknowledgement.
    nmi: Option<u64>,
    /// A wait for this deadline has ended without everybody's answer, and was counted.
    given_up: bool,
}

impl<P: Platform, const WORDS: usize> Clone for CpuWaits<'_, P, WORDS> {
    fn clone(&self) -> Self {
        Self {
            deadline: self.deadline.clone(),
            ..*self
        }
    }
}

impl<'e, P: Platform, const WORDS: usize> CpuWaits<'e, P, WORDS> {
    pub(crate) fn new(
        engine: &'e Shootdown<P, WORDS>,
        posted: Option<(Posted, CpuSet<WORDS>)>,
    ) -> Self {
        let (posted, cpus) = posted.unzip();
        Self {
            engine,
            posted,
            cpus: cpus.unwrap_or(CpuSet::EMPTY),
            deadline: engine.deadline(),
            pressed: 0,
            nmi: None,
            given_up: false,
        }
    }

    /// One look at each of them, while this CPU answers the others.
    pub(crate) fn poll(&mut self) {
        let engine = self.engine;
        if !Defect::WaitingServesNobody.is_put_back() {
            engine.serve_mailbox();
        }
        if let Some(posted) = self.posted {
            self.cpus
                .retain(|target| !engine.has_answered(posted, self.nmi, target));
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.cpus.is_empty()
    }

    pub(crate) fn unanswered(&self) -> CpuSet<WORDS> {
        self.cpus
    }

    /// Whether the deadline has passed; one turn of it where there is no clock.
    pub(crate) fn are_late(&mut self) -> bool {
        self.deadline.has_passed(self.engine.platform().now())
    }

    /// Counts the wait, once for each deadline: the drop that follows a failed wait is no second one.
    pub(crate) fn give_up(&mut self) {
        if !core::mem::replace(&mut self.given_up, true) {
            self.engine.count(&Stats {
                timeouts: 1,
                ..Stats::default()
            });
        }
    }

    pub(crate) fn renew(&mut self) {
        self.deadline = self.engine.deadline();
        self.given_up = false;
    }

    /// A second interrupt; from the second time on an NMI, where the platform has one and a full flush is an answer.
    pub(crate) fn press(&mut self, cost: &mut Cost) {
        if let Some(posted) = self.posted {
            self.engine.interrupt_again(posted, &self.cpus, cost);
            if self.pressed > 0 && posted.by_flush {
                self.nmi = self.engine.interrupt_by_nmi(&self.cpus).or(self.nmi);
            }
        }
        self.pressed = self.pressed.saturating_add(1);
    }
}
