//! What a test of one cell of the table does.

use tlb_shootdown_scenarios::{Case, Machine, Observer, run, verdict};

use crate::machine::Emulated;

/// Plays `case` to `observer` on a machine that was just started.
///
/// # Panics
/// Where the cell is not as it must be.
pub fn is_as_it_must_be(case: Case, observer: Observer) {
    let mut machine = Emulated::new().expect("the machine comes up");
    let cell = run(&mut machine, case, observer).expect("the machine explains itself");
    verdict(&cell, machine.yardstick()).unwrap_or_else(|wrong| panic!("{wrong}: {cell:?}"));
}
