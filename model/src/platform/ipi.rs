//! Interrupts between CPUs: delivered, late, or lost.

use alloc::collections::BTreeMap;

/// What happens to interrupts sent to one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpiScript {
    /// They arrive; several that are not taken yet are one.
    #[default]
    Deliver,
    /// They arrive this many turns of somebody's spin loop later.
    Delay(u32),
    /// They never arrive.
    Lose,
}

/// The interrupts of all CPUs.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    scripts: BTreeMap<usize, IpiScript>,
    /// Turns until the interrupt is due.
    pending: BTreeMap<usize, u32>,
}

impl Interrupts {
    pub(super) fn script(&mut self, cpu: usize, script: IpiScript) {
        self.scripts.insert(cpu, script);
    }

    pub(super) fn send(&mut self, cpu: usize) {
        let turns = match self.scripts.get(&cpu).copied().unwrap_or_default() {
            IpiScript::Deliver => 0,
            IpiScript::Delay(turns) => turns,
            IpiScript::Lose => return,
        };
        let due = self.pending.entry(cpu).or_insert(turns);
        *due = turns.min(*due);
    }

    pub(super) fn tick(&mut self) {
        for turns in self.pending.values_mut() {
            *turns = turns.saturating_sub(1);
        }
    }

    pub(super) fn is_due(&self, cpu: usize) -> bool {
        self.pending.get(&cpu) == Some(&0)
    }

    pub(super) fn take(&mut self, cpu: usize) -> bool {
        let due = self.is_due(cpu);
        if due {
            self.pending.remove(&cpu);
        }
        due
    }
}
