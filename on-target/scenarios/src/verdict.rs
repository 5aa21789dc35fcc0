//! Whether a cell is as it must be.

use core::fmt;

use crate::{Case, Cell, Cost, Refusal, Seen, Yardstick};

/// Why a cell is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// With the invalidation left out, this had to be seen.
    Control {
        /// What had to be seen.
        expected: Seen,
        /// What was seen.
        seen: Seen,
    },
    /// The control was refused, but not for want of a right.
    Refusal(Option<Refusal>),
    /// With the crate's invalidation, only [`Seen::Fresh`] is right.
    Cure(Seen),
    /// The invalidation's cost.
    Cost {
        /// What it had to cost.
        expected: Cost,
        /// What it did cost.
        counted: Cost,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control { expected, seen } => {
                write!(out, "without: {expected:?} expected, {seen:?} seen")
            }
            Self::Refusal(why) => write!(
                out,
                "without: a permission fault expected, {why:?} reported"
            ),
            Self::Cure(seen) => write!(out, "with: Fresh expected, {seen:?} seen"),
            Self::Cost { expected, counted } => {
                write!(out, "cost: {expected:?} expected, {counted:?} counted")
            }
        }
    }
}

impl core::error::Error for Wrong {}

/// Judges a cell of a machine that `yardstick` measures.
///
/// # Errors
/// The first thing that is wrong: the control (a stale entry that failed to show included), the cure, the cost.
pub fn verdict(cell: &Cell, yardstick: &Yardstick) -> Result<(), Wrong> {
    control(cell, yardstick)?;
    if cell.with != Seen::Fresh {
        return Err(Wrong::Cure(cell.with));
    }
    let expected = yardstick.cost(cell.case, cell.observer);
    if cell.cost != expected {
        return Err(Wrong::Cost {
            expected,
            counted: cell.cost,
        });
    }
    Ok(())
}

/// An upgrade that was not told shows as a permission fault, everything else as use of the old entry.
fn control(cell: &Cell, yardstick: &Yardstick) -> Result<(), Wrong> {
    if cell.without == Seen::Unseen && yardstick.hides(cell.case, cell.observer) {
        return Ok(());
    }
    let expected = match cell.case {
        Case::Upgrade => Seen::Fault,
        Case::Downgrade
        | Case::Unmap
        | Case::Remap
        | Case::Range
        | Case::Space
        | Case::Gather
        | Case::Reclaim
        | Case::Split => Seen::Stale,
    };
    if cell.without != expected {
        return Err(Wrong::Control {
            expected,
            seen: cell.without,
        });
    }
    match cell.refusal {
        Some(Refusal::Permission) => Ok(()),
        Some(Refusal::Unreported) if yardstick.silent => Ok(()),
        _ if expected != Seen::Fault => Ok(()),
        other => Err(Wrong::Refusal(other)),
    }
}
