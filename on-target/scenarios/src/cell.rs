//! One cell of the table and its serial line.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Case, Cost, Observer, Refusal, Seen};

/// What a serial line that carries a cell begins with.
pub const LINE_PREFIX: &str = "cell ";

/// Longest JSON of a cell: every word at its longest, every counter at `u32::MAX`, is below 420 bytes.
const JSON_CAPACITY: usize = 512;

/// What one observer saw of one case, without and with the invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What was changed.
    pub case: Case,
    /// Who looked.
    pub observer: Observer,
    /// Seen with the invalidation left out.
    pub without: Seen,
    /// Why the control was refused, where [`Cell::without`] is [`Seen::Fault`].
    pub refusal: Option<Refusal>,
    /// Seen with the invalidation done by the crate.
    pub with: Seen,
    /// What that invalidation cost.
    pub cost: Cost,
    /// Runs of the control, 1 to [`MAX_TRIES`](crate::MAX_TRIES).
    pub tries: u32,
}

impl Cell {
    /// Writes the cell as one line, [`LINE_PREFIX`] and JSON, with its newline.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn print(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let mut json = [0; JSON_CAPACITY];
        let length = serde_json_core::to_slice(self, &mut json).map_err(|_| fmt::Error)?;
        let json = json.get(..length).ok_or(fmt::Error)?;
        let json = core::str::from_utf8(json).map_err(|_| fmt::Error)?;
        writeln!(out, "{LINE_PREFIX}{json}")
    }

    /// Reads what [`Cell::print`] wrote; `None` for a line that carries no cell.
    ///
    /// # Errors
    /// A line with the prefix whose rest is no cell.
    pub fn from_line(line: &str) -> Option<Result<Self, serde_json_core::de::Error>> {
        let json = line.trim_end().strip_prefix(LINE_PREFIX)?;
        Some(serde_json_core::from_str(json).map(|(cell, _)| cell))
    }
}
