//! The parts of a demo as a table that a person reads.

use tlb_shootdown_scenarios::{Case, Cell, Observer, Seen, verdict};

use super::report::{Part, Report, word};
use crate::arch::Architecture;

/// The titles of the columns of words, in two lines as those of the counters are.
const WORDS: [[&str; 2]; 4] = [
    ["", "case"],
    ["", "observer"],
    ["", "left out"],
    ["by the", "crate"],
];

/// The whole table with its legend, ending in a newline.
pub(crate) fn render(arch: &Architecture, parts: &[Part]) -> String {
    let notes = notes(parts);
    let has_boards = has_boards(parts);
    let mut rows = vec![head(arch, 0), head(arch, 1)];
    for case in Case::ALL {
        let first = rows.len();
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Played(report) => {
                    let cells = report.cells.iter().filter(|cell| cell.case == case);
                    let shown = cells.filter(|cell| is_shown(cell, report, &parts[..index]));
                    rows.extend(shown.map(|cell| row(cell, report, &notes, has_boards)));
                }
                Part::NotRun { machine, .. } => {
                    rows.push(row_not_run(arch, machine.device.unwrap_or(machine.board)));
                }
            }
        }
        // A case's name stands once, before its first observer.
        if let Some(row) = rows.get_mut(first) {
            row[0] = title(case).into();
        }
    }
    let mut text = String::new();
    for part in parts {
        text.push_str(&ran_on(arch, part));
    }
    text.push('\n');
    text.push_str(&aligned(&rows));
    text.push_str(&legend(&notes));
    text
}

/// What one machine is, and where it was found.
fn ran_on(arch: &Architecture, part: &Part) -> String {
    let (machine, board, remark, end) = match part {
        Part::Played(report) => {
            let end = format!("ran on {}", report.ran_on);
            (report.machine, report.board, report.remark, end)
        }
        Part::NotRun { machine, why } => {
            let end = format!("not run: {why}");
            (*machine, machine.board, machine.remark, end)
        }
    };
    let remark = match remark {
        "" => String::new(),
        remark => format!(" ({remark})"),
    };
    let Architecture { name, .. } = arch;
    format!(
        "{name}, machine {board}, IOMMU {}{remark}, {end}\n",
        machine.iommu
    )
}

fn head(arch: &Architecture, line: usize) -> Vec<String> {
    let words = WORDS.iter().map(|title| title[line]);
    let counters = arch.columns.iter().map(|column| column.title[line]);
    words
        .chain(counters)
        .chain([""])
        .map(String::from)
        .collect()
}

fn title(case: Case) -> &'static str {
    match case {
        Case::Upgrade => "upgrade RO to RW",
        Case::Downgrade => "downgrade RW to RO",
        Case::Unmap => "unmap",
        Case::Remap => "remap to other page",
        Case::Range => "range of pages",
        Case::Space => "whole space",
        Case::Gather => "gathered unmap",
        Case::Reclaim => "reclaim, 2 spaces",
        Case::Split => "huge page split",
    }
}

/// Whether the machines differ in more than what is behind an IOMMU.
fn has_boards(parts: &[Part]) -> bool {
    let mut boards = parts.iter().map(|part| part.machine().board);
    let first = boards.next();
    boards.any(|board| Some(board) != first)
}

/// The CPUs of a board are the same in front of every IOMMU: they are shown once, and again only where something is wrong.
fn is_shown(cell: &Cell, report: &Report, before: &[Part]) -> bool {
    let is_known = before.iter().any(|part| {
        matches!(part, Part::Played(_)) && part.machine().board == report.machine.board
    });
    cell.observer == Observer::Device || !is_known || verdict(cell, report.yardstick).is_err()
}

fn row(cell: &Cell, report: &Report, notes: &[&str], has_boards: bool) -> Vec<String> {
    let mut without = word(&cell.without);
    if let Some(mark) = mark(cell, report, notes) {
        without.push_str(&format!(" [{mark}]"));
    }
    if cell.tries > 1 {
        without.push_str(&format!(" (try {})", cell.tries));
    }
    let observer = match cell.observer {
        Observer::Device => report.device.unwrap_or("device").to_owned(),
        cpu if has_boards => format!("{}, {}", word(&cpu), report.machine.board),
        cpu => word(&cpu),
    };
    let judged = match verdict(cell, report.yardstick) {
        Ok(()) => "ok",
        Err(_) => "WRONG",
    };
    let words = [String::new(), observer, without, word(&cell.with)];
    let columns = report.arch.columns.iter();
    let counters = columns.map(|column| (column.count)(&cell.cost).to_string());
    words
        .into_iter()
        .chain(counters)
        .chain([judged.into()])
        .collect()
}

fn row_not_run(arch: &Architecture, device: &str) -> Vec<String> {
    let words = ["", device, "-", "-"];
    let counters = arch.columns.iter().map(|_| "-");
    let all = words.into_iter().chain(counters).chain(["not run"]);
    all.map(String::from).collect()
}

/// The model tests that show what some machine cannot, each once.
fn notes(parts: &[Part]) -> Vec<&'static str> {
    let mut notes = Vec::new();
    for part in parts {
        if let Part::Played(report) = part {
            for unseen in report.yardstick.unseen {
                if !notes.contains(&unseen.shown_by) {
                    notes.push(unseen.shown_by);
                }
            }
        }
    }
    notes
}

/// The number of the note below the table that says where an unseen control is shown.
fn mark(cell: &Cell, report: &Report, notes: &[&str]) -> Option<usize> {
    let shown_by = report.yardstick.shown_by(cell.case, cell.observer)?;
    let place = notes.iter().position(|note| *note == shown_by);
    place
        .filter(|_| cell.without == Seen::Unseen)
        .map(|index| index + 1)
}

/// Pads every column to its widest cell, counters to the right, and draws a rule below the head.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let counters = WORDS.len()..columns - 1;
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if counters.contains(&column) {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if number == 1 {
            let rule = widths.iter().map(|width| width + 2).sum::<usize>();
            text.push_str(&"-".repeat(rule - 2));
            text.push('\n');
        }
    }
    text
}

fn legend(notes: &[&str]) -> String {
    let mut text = String::from(
        "\nstale: the old translation or right was used; fault: refused although the new table allows it;\n\
         fresh: as the new table says, a refusal included",
    );
    if notes.is_empty() {
        text.push_str(".\n");
    } else {
        text.push_str("; unseen: this emulator cannot show it.\n");
    }
    text.push_str("huge page split: of the small pages in its place one leads to another frame, and is read.\n");
    for (index, note) in notes.iter().enumerate() {
        text.push_str(&format!("[{}] shown by the model test {note}\n", index + 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use tlb_shootdown_scenarios::Yardstick;

    use super::*;
    use crate::arch;
    use crate::demo::report::tests::{right, right_on};

    fn render(report: Report) -> String {
        super::render(arch::ALL[0], &[Part::Played(report)])
    }

    #[test]
    fn every_cell_stands_in_a_row() {
        let text = render(right());
        assert_eq!(
            text.lines().filter(|line| line.ends_with(" ok")).count(),
            27
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
        let text = render(right());
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
        let text = render(report);
        assert_eq!(text.matches("WRONG").count(), 1);
        assert!(text.contains("stale (try 2)"));
    }

    #[test]
    fn cpus_are_shown_once_and_again_where_something_is_wrong() {
        let mut second = right();
        let cell = second
            .cells
            .iter_mut()
            .find(|cell| cell.observer == Observer::OtherCpu);
        cell.unwrap().with = Seen::Stale;
        let text = super::render(arch::ALL[0], &[Part::Played(right()), Part::Played(second)]);
        assert_eq!(
            text.lines().filter(|line| line.ends_with(" ok")).count(),
            27 + 9
        );
        assert_eq!(text.matches("WRONG").count(), 1);
        assert_eq!(text.matches("[1] shown by").count(), 1);
    }

    /// Boards differ in their CPUs: each shows its own, and says whose they are. None of these has a device.
    #[test]
    fn cpus_of_different_boards_are_shown_with_their_board() {
        let power = arch::ALL[2];
        let parts: Vec<_> = power
            .demos()
            .map(|(machine, demo)| Part::Played(right_on(power, machine, demo.yardstick)))
            .collect();
        let text = super::render(power, &parts);
        let right = text.lines().filter(|line| line.ends_with(" ok")).count();
        assert_eq!(right, 3 * 2 * Case::ALL.len());
        assert_eq!(
            text.matches("other-cpu, powernv10 ").count(),
            Case::ALL.len()
        );
        assert!(!text.contains("device"));
    }

    /// Rows of the model stand beside CPUs that were emulated, and bring none of their own.
    #[test]
    fn a_device_of_the_model_stands_alone_beside_cpus() {
        let power = arch::ALL[2];
        let (machine, demo) = power.demos().next().unwrap();
        let emulated = right_on(power, machine, demo.yardstick);
        let beside = Report {
            device: Some("accelerator [model]"),
            ..right_on(power, machine, &Yardstick::AARCH64_SMMUV3_MODEL)
        };
        let text = super::render(power, &[Part::Played(emulated), Part::Played(beside)]);
        let right = text.lines().filter(|line| line.ends_with(" ok")).count();
        assert_eq!(right, 3 * Case::ALL.len());
        assert_eq!(text.matches("accelerator [model]").count(), Case::ALL.len());
    }

    #[test]
    fn a_machine_that_was_not_run_says_so_in_its_rows() {
        let lacking = Part::NotRun {
            machine: right().machine,
            why: "QEMU 10.0.2 has no such device".into(),
        };
        let text = super::render(arch::ALL[0], &[Part::Played(right()), lacking]);
        assert_eq!(text.matches("not run\n").count(), Case::ALL.len());
        assert!(text.contains("IOMMU smmuv3, not run: QEMU 10.0.2 has no such device\n"));
    }
}
