//! Everything that a machine has to show, as a kernel prints it.

use core::fmt;

use crate::{Case, Machine, Observer, run, verdict};

/// Plays every case to every observer of the machine and prints each cell as a serial line, with what is wrong of it in a line below; how
/// many were wrong.
///
/// # Errors
/// Those of `out`.
pub fn show<M: Machine<Error: fmt::Debug>>(
    machine: &mut M,
    out: &mut impl fmt::Write,
) -> Result<u32, fmt::Error> {
    let mut wrong = 0;
    for case in Case::ALL {
        for &observer in machine.yardstick().observers {
            wrong += u32::from(!is_right(machine, case, observer, out)?);
        }
    }
    Ok(wrong)
}

fn is_right<M: Machine<Error: fmt::Debug>>(
    machine: &mut M,
    case: Case,
    observer: Observer,
    out: &mut impl fmt::Write,
) -> Result<bool, fmt::Error> {
    let cell = match run(machine, case, observer) {
        Ok(cell) => cell,
        Err(failure) => {
            writeln!(out, "{case:?} as {observer:?} sees it: {failure}")?;
            return Ok(false);
        }
    };
    cell.print(out)?;
    if let Err(wrong) = verdict(&cell, machine.yardstick()) {
        writeln!(out, "{case:?} as {observer:?} sees it: {wrong}")?;
        return Ok(false);
    }
    Ok(true)
}
