//! Which promises are attacked where.

use std::fmt::Write;

use anyhow::{Result, ensure};

use super::table::{self, COLUMNS, Column, PROMISES, WITHOUT};

/// How many mistakes there are against a promise in a column.
fn count(promise: u8, column: Column) -> usize {
    let attacks = |mutant: &&table::Mutant| mutant.promise == promise && mutant.column == column;
    table::all().filter(attacks).count()
}

/// Why there is none.
fn reason(promise: u8, column: Column) -> Option<&'static str> {
    let mut reasons = WITHOUT.iter();
    let reason = reasons.find(|(of, columns, _)| *of == promise && columns.contains(&column));
    reason.map(|(.., why)| *why)
}

/// Every cell has a mistake or a reason, and not both.
pub(super) fn check() -> Result<()> {
    for promise in PROMISES {
        for column in COLUMNS {
            let (count, reason) = (count(promise, column), reason(promise, column));
            ensure!(
                (count == 0) == reason.is_some(),
                "promise {promise}, {}: {count} mistakes, and the reason for none: {reason:?}",
                column.name()
            );
        }
    }
    Ok(())
}

/// The matrix, then the reasons of its empty cells.
pub(super) fn render() -> String {
    let mut out = String::from("\npromise");
    for column in COLUMNS {
        let _ = write!(out, " {:>8}", column.name());
    }
    out.push('\n');
    for promise in PROMISES {
        let _ = write!(out, "{promise:>7}");
        for column in COLUMNS {
            let cell = match count(promise, column) {
                0 => "-".to_owned(),
                count => count.to_string(),
            };
            let _ = write!(out, " {cell:>8}");
        }
        out.push('\n');
    }
    for (promise, columns, why) in WITHOUT {
        let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
        let _ = writeln!(out, "promise {promise}, {}: {why}", names.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_a_mistake_or_a_reason() {
        check().unwrap();
    }

    #[test]
    fn the_matrix_has_a_line_for_each_promise() {
        let lines = render();
        let numbered = lines.lines().filter(|line| {
            let first = line.split_whitespace().next();
            first.is_some_and(|word| word.parse::<u8>().is_ok())
        });
        assert_eq!(numbered.count(), PROMISES.count());
    }
}
