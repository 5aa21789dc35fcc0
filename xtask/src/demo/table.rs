//! The report as a table that a person reads.

use tlb_shootdown_scenarios::{Case, Cell, Seen, verdict};

use super::report::{Report, word};

/// The column titles, in two lines so that columns of small numbers stay narrow.
const HEAD: [[&str; 11]; 2] = [
    [
        "",
        "",
        "",
        "by the",
        "store",
        "",
        "completion",
        "SMMU",
        "",
        "",
        "",
    ],
    [
        "case",
        "observer",
        "left out",
        "crate",
        "barriers",
        "TLBIs",
        "barriers",
        "commands",
        "CMD_SYNCs",
        "doorbells",
        "",
    ],
];

/// Columns of words stand left-aligned, these counters to the right.
const COUNTERS: std::ops::Range<usize> = 4..10;

/// The whole table with its legend, ending in a newline.
pub(crate) fn render(report: &Report) -> String {
    let mut rows: Vec<Vec<String>> = HEAD.map(|line| line.map(String::from).to_vec()).to_vec();
    let mut last = None;
    for cell in &report.cells {
        // A case's name stands once, before its first observer.
        let name = if last == Some(cell.case) {
            ""
        } else {
            title(cell.case)
        };
        last = Some(cell.case);
        rows.push(row(name, cell, report));
    }
    let mut text = format!(
        "aarch64, machine {}, IOMMU {}, ran on {}\n\n",
        report.machine,
        crate::machine::IOMMU,
        report.ran_on
    );
    text.push_str(&aligned(&rows));
    text.push_str(&legend(report));
    text
}

fn title(case: Case) -> &'static str {
    match case {
        Case::Upgrade => "upgrade RO to RW",
        Case::Downgrade => "downgrade RW to RO",
        Case::Unmap => "unmap",
        Case::Remap => "remap to other page",
        Case::Range => "range of pages",
        Case::Space => "whole space",
    }
}

fn row(name: &str, cell: &Cell, report: &Report) -> Vec<String> {
    let cost = &cell.cost;
    let mut without = word(&cell.without);
    if let Some(mark) = mark(cell, report) {
        without.push_str(&format!(" [{mark}]"));
    }
    if cell.tries > 1 {
        without.push_str(&format!(" (try {})", cell.tries));
    }
    let counters = [
        cost.store_barriers,
        cost.invalidations,
        cost.completion_barriers,
        cost.commands,
        cost.syncs,
        cost.doorbells,
    ];
    let judged = match verdict(cell, report.yardstick) {
        Ok(()) => "ok",
        Err(_) => "WRONG",
    };
    let words = [
        name.to_owned(),
        word(&cell.observer),
        without,
        word(&cell.with),
    ];
    words
        .into_iter()
        .chain(counters.map(|count| count.to_string()))
        .chain([judged.into()])
        .collect()
}

/// The number of the note below the table that says where an unseen control is shown.
fn mark(cell: &Cell, report: &Report) -> Option<usize> {
    let listed = report.yardstick.unseen.iter();
    let is_unseen = cell.without == Seen::Unseen;
    let mut places = listed.enumerate().filter(|_| is_unseen);
    let place = places.find(|(_, one)| (one.case, one.observer) == (cell.case, cell.observer));
    place.map(|(index, _)| index + 1)
}

/// Pads every column to its widest cell and draws a rule below the head.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
    };
    let widths: Vec<usize> = (0..HEAD[0].len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if COUNTERS.contains(&column) {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if number + 1 == HEAD.len() {
            let rule = widths.iter().map(|width| width + 2).sum::<usize>();
            text.push_str(&"-".repeat(rule - 2));
            text.push('\n');
        }
    }
    text
}

fn legend(report: &Report) -> String {
    let mut text = String::from(
        "\nstale: the old translation or right was used; fault: refused although the new table allows it;\n\
         fresh: as the new table says, a refusal included",
    );
    if report.yardstick.unseen.is_empty() {
        text.push_str(".\n");
    } else {
        text.push_str("; unseen: this emulator cannot show it.\n");
    }
    for (index, unseen) in report.yardstick.unseen.iter().enumerate() {
        text.push_str(&format!(
            "[{}] shown by the model test {}\n",
            index + 1,
            unseen.shown_by
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::report::tests::right;

    #[test]
    fn every_cell_stands_in_a_row() {
        let text = render(&right());
        assert_eq!(
            text.lines().filter(|line| line.ends_with(" ok")).count(),
            18
        );
        let first = text
            .lines()
            .find(|line| line.starts_with("upgrade"))
            .unwrap();
        let words: Vec<_> = first.split_whitespace().collect();
        let expected = "upgrade RO to RW this-cpu unseen [1] fresh 1 1 1 0 0 0 ok";
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn unseen_entries_are_named_below() {
        let text = render(&right());
        assert!(text.contains(
            "[1] shown by the model test promise_09_upgrade_left_out_faults_on_this_cpu"
        ));
        assert!(text.contains("[2] shown by the model test"));
    }

    #[test]
    fn a_wrong_cell_and_a_repeated_control_are_marked() {
        let mut report = right();
        report.cells[4].with = Seen::Stale;
        report.cells[5].tries = 2;
        let text = render(&report);
        assert_eq!(text.matches("WRONG").count(), 1);
        assert!(text.contains("stale (try 2)"));
    }
}
