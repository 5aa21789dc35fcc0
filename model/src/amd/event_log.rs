//! The log that events are written to.

use super::event::{Late, Words};
use super::iommu::Iommu;
use crate::ground::Ground;

/// Turns between the tail and the entry with erratum 732.
const LATE: u8 = 4;

impl Iommu {
    /// Writes an event, if the log runs and has room. Without room the log stops.
    pub(super) fn record(&mut self, words: Words, ground: &mut Ground) {
        if !self.registers.events_run {
            return;
        }
        let Some((at, tail)) = self.registers.event_slot() else {
            self.registers.overflow();
            return;
        };
        self.registers.event_tail = tail;
        self.registers.signal_event();
        if self.options.event_tail_first {
            self.unwritten.push(Late {
                at,
                words,
                turns: LATE,
            });
        } else {
            write(at, words, ground);
        }
    }

    /// Writes the entries that the tail has passed long enough ago.
    pub(super) fn write_late_events(&mut self, ground: &mut Ground) {
        self.unwritten.retain_mut(|late| {
            late.turns -= 1;
            if late.turns == 0 {
                write(late.at, late.words, ground);
            }
            late.turns != 0
        });
    }
}

/// The code last: whoever waits for it finds the rest.
fn write(at: u64, [w0, w1]: Words, ground: &mut Ground) {
    ground.memory.write(at + 8, w1);
    ground.memory.write(at, w0);
}
