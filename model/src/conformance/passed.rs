//! What a run has shown.

use core::fmt;
use core::ops::AddAssign;

/// A port kept every sentence of its contract that was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// Sentences that were checked.
    pub checks: u32,
    /// Sentences that were not, as the kernel does not offer what they take: CPUs that work at the same time, a table that can
    /// be taken out, kernel pages, a device.
    pub skipped: u32,
    /// Looks of one CPU or device at a changed page whose flush was left out.
    pub controls: u32,
    /// Those that still found the old entry. Where there are none, the looks after a flush prove little.
    pub stale: u32,
}

impl Passed {
    /// One sentence was checked, or could not be.
    pub(super) fn note(&mut self, checked: bool) {
        if checked {
            self.checks += 1;
        } else {
            self.skipped += 1;
        }
    }
}

impl AddAssign for Passed {
    fn add_assign(&mut self, other: Self) {
        self.checks += other.checks;
        self.skipped += other.skipped;
        self.controls += other.controls;
        self.stale += other.stale;
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checks passed", self.checks)?;
        if self.skipped > 0 {
            write!(f, ", {} could not be made", self.skipped)?;
        }
        if self.controls > 0 {
            write!(
                f,
                "; without a flush the old entry was seen in {} of {} looks",
                self.stale, self.controls
            )?;
        }
        Ok(())
    }
}
