//! How long a wait may take.

use crate::model::Model;
use crate::oracle::Violation;
use crate::platform::current;

/// The bound of the call that runs, and how much of it is used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    limit: u64,
    turns: u64,
}

impl Bound {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, turns: 0 }
    }

    /// One more turn of a waiting loop.
    ///
    /// # Panics
    /// Where twice the bound is used up: the wait does not end by itself.
    pub(super) fn tick(&mut self) {
        self.turns += 1;
        assert!(
            self.turns <= 2 * self.limit,
            "{}",
            Violation::WaitedTooLong {
                cpu: current::get(),
                turns: self.turns,
            }
        );
    }

    /// The wait has ended.
    pub(super) fn judge(&self, model: &Model) {
        if self.turns > self.limit {
            let (cpu, turns) = (current::get(), self.turns);
            let late = Violation::WaitedTooLong { cpu, turns };
            model.with(|world| world.ground.oracle.report(late));
        }
    }
}
