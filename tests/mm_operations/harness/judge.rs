//! What the oracle, and those who use what is mapped, have to object to.

use super::kernel::{Kernel, Left};
use super::machine::Machine;
use tlb_shootdown::change::Needed;
use tlb_shootdown_model::oracle::{Holder, Violation};

/// On whose side something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Cpu,
    Device,
}

/// What was found in a control, where a failure is what is looked for.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) cpu: Vec<String>,
    pub(crate) device: Vec<String>,
    /// Why nothing is to be found though the call is left out.
    pub(crate) void: Option<&'static str>,
}

impl<M: Machine> Kernel<M> {
    /// Something is not as it has to be: the test fails, or the control has found something.
    #[track_caller]
    pub(super) fn odd(&mut self, who: Who, what: String) {
        let run = &self.run;
        assert_ne!(run.left, Left::Nothing, "{what}; {run:?}");
        match who {
            Who::Cpu => self.findings.cpu.push(what),
            Who::Device => self.findings.device.push(what),
        }
    }

    /// The kernel relies on it that every change of the owner is complete: nothing in its trees is excused any more.
    pub(crate) fn settle(&mut self, owner: usize) {
        self.last_call = self.meter.take(&self.model);
        self.freed = self.sink.released();
        for tree in self.trees(owner) {
            self.model.returned(tree.root(), 0, u64::MAX);
            self.model.settled(tree.root(), 0, u64::MAX);
        }
        self.judge();
    }

    /// Asks the oracle.
    pub(super) fn judge(&mut self) {
        for violation in self.model.violations() {
            self.odd(blamed(&violation), violation.to_string());
        }
    }

    /// Nothing is wrong in this run without the call.
    pub(crate) fn control_is_void(&mut self, reason: &'static str) {
        self.findings.void = Some(reason);
    }

    /// The row is over: nothing is owed, and nobody has an objection.
    pub(crate) fn ends_clean(mut self) {
        assert_eq!(
            self.owes,
            Needed::Nothing,
            "a change that no call completed"
        );
        self.judge();
    }

    pub(crate) fn findings(mut self) -> Findings {
        self.judge();
        self.findings
    }
}

fn blamed(violation: &Violation) -> Who {
    match violation {
        Violation::UsedStale { holder, .. }
        | Violation::HeldStale { holder, .. }
        | Violation::UsedFreed { holder, .. }
        | Violation::FreedWhileHeld { holder, .. }
        | Violation::UsedForeign { holder, .. }
        | Violation::ReusedDirty { holder, .. }
        | Violation::LostRequest { holder, .. }
        | Violation::WalkedFreed { holder, .. } => match holder {
            Holder::Cpu(_) => Who::Cpu,
            Holder::Iommu(_) | Holder::Device(_) => Who::Device,
        },
        Violation::WidenedInPlace { .. } => Who::Device,
        other => panic!("no kernel here does that, whatever it leaves out: {other}"),
    }
}
