//! A CPU that joins while another flushes: each reads or writes what the recorder does not see, so either finds out where.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;
use tlb_shootdown_model::recorder::aarch64::Executed;

use crate::column::Column;
use crate::interleaved::{interleave, place};
use crate::machine::{Machine, Space};
use crate::page::Place;

/// Two CPUs that meet.
pub(super) struct Meeting {
    pub(super) machine: Machine,
    pub(super) space: Space,
    pub(super) asid: u64,
}

/// What they do.
pub(super) struct Kind {
    pub(super) prepare: fn() -> Meeting,
    /// CPU 1.
    pub(super) join: fn(&Meeting),
    /// CPU 0.
    pub(super) flush: fn(&Meeting),
    /// Whether the flush has taken CPU 1 into account.
    pub(super) is_noticed: fn(&[Executed]) -> bool,
}

/// What one of them executes when it is alone, and how many instructions come before its access to what both look at.
pub(super) struct Half {
    executed: Vec<Executed>,
    pub(super) place: usize,
}

impl Half {
    pub(super) fn len(&self) -> usize {
        self.executed.len()
    }

    /// Writes the half down, with the access after so many instructions.
    pub(super) fn write<R>(
        &self,
        column: &mut Column,
        places: &[Place],
        at: usize,
        access: impl FnOnce(&mut Column) -> R,
    ) -> Result<R> {
        let (before, behind) = self.executed.split_at(at);
        column.emitted(before, places)?;
        let result = access(column);
        column.emitted(behind, places)?;
        Ok(result)
    }
}

impl Kind {
    /// The flush: its load comes after the last point at which a CPU that joins is noticed.
    pub(super) fn flushing(&self) -> Result<Half> {
        let executed = self.alone(self.flush);
        let place = place(executed.len(), |at| {
            let meeting = Rc::new((self.prepare)());
            let (other, join) = (meeting.clone(), self.join);
            interleave(at, move || join(&other), || (self.flush)(&meeting))?;
            Ok(!(self.is_noticed)(&meeting.machine.take()))
        })?;
        Ok(Half { executed, place })
    }

    /// The CPU that joins: its store comes before the first point at which a flush notices it.
    pub(super) fn joining(&self) -> Result<Half> {
        let executed = self.alone(self.join);
        let place = place(executed.len(), |at| {
            let meeting = Rc::new((self.prepare)());
            let seen = Rc::new(RefCell::new(Vec::new()));
            let (other, flushed, flush) = (meeting.clone(), seen.clone(), self.flush);
            let flush = move || {
                flush(&other);
                *flushed.borrow_mut() = other.machine.take();
            };
            interleave(at, flush, || (self.join)(&meeting))?;
            Ok((self.is_noticed)(&seen.borrow()))
        })?;
        Ok(Half { executed, place })
    }

    fn alone(&self, call: fn(&Meeting)) -> Vec<Executed> {
        let meeting = (self.prepare)();
        call(&meeting);
        meeting.machine.take()
    }
}
