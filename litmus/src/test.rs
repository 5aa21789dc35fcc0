//! One litmus test and its text.

use std::fmt::Write as _;

use crate::column::Column;
use crate::verdict::Verdict;

/// Memory, columns, and the outcome that is asked about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    /// First values of memory.
    pub(crate) memory: Vec<String>,
    pub(crate) columns: Vec<Column>,
    /// What must not happen, in herd7's language.
    pub(crate) outcome: String,
    /// Edits that the outcome cannot show, as `P0 without ISB`, or `P0 4 without ISB` of the fourth instruction alone: the
    /// instruction is there for somebody else's sake.
    pub(crate) unseen: &'static [&'static str],
}

/// Arm's model, or Arm's model and one thing that herd7 cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// As Arm has written it.
    Arms,
    /// The barriers of one CPU alone (`DSB NSH`) count, which Arm's model ignores.
    Local,
    /// No TLB holds anything at first: an entry that a CPU uses it has read since its last context synchronisation, which stands for
    /// the loading of a root under a clean identifier.
    EmptyTlbs,
}

/// A test with its name and what herd7 has to say about it.
#[derive(Clone, Debug)]
pub struct Test {
    /// The scenario.
    pub scenario: &'static str,
    /// `emitted`, or what was done to the sequence.
    pub variant: String,
    /// What herd7 has to answer.
    pub expected: Verdict,
    /// What herd7 has to be told of the machine.
    pub model: Model,
    /// The whole file.
    pub text: String,
}

impl Test {
    /// The name that herd7 reports.
    pub fn name(&self) -> String {
        format!("{}+{}", self.scenario, self.variant)
    }

    /// The path of the committed file, within the folder of them.
    pub fn path(&self) -> String {
        format!("{}/{}.litmus", self.scenario, self.variant)
    }
}

impl Sequence {
    /// The text of the test; `remarks` are lines of its comment.
    pub(crate) fn text(&self, name: &str, remarks: &[String]) -> String {
        let mut text = format!("AArch64 {name}\n(* {} *)\n{{\n", remarks.join("\n   "));
        for line in &self.memory {
            let _ = writeln!(text, " {line};");
        }
        for (cpu, column) in self.columns.iter().enumerate() {
            let held = column.registers.iter().enumerate();
            let held = held.filter_map(|(number, first)| Some((number, first.as_ref()?)));
            let held: Vec<_> = held
                .map(|(number, first)| format!(" {cpu}:X{number}={first};"))
                .collect();
            let _ = writeln!(text, "{}", held.concat());
        }
        let _ = writeln!(text, "}}\n{}exists {}", self.table(), self.outcome);
        text
    }

    fn table(&self) -> String {
        let heads = (0..self.columns.len()).map(|cpu| format!("P{cpu}"));
        let columns: Vec<Vec<String>> = heads
            .zip(&self.columns)
            .map(|(head, column)| std::iter::once(head).chain(column.lines()).collect())
            .collect();
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        let widths = columns
            .iter()
            .map(|column| column.iter().map(String::len).max().unwrap_or(0));
        let widths: Vec<_> = widths.collect();
        let mut table = String::new();
        for row in 0..height {
            let cells = columns.iter().zip(&widths).map(|(column, width)| {
                let cell = column.get(row).map_or("", String::as_str);
                format!(" {cell:width$} ")
            });
            let _ = writeln!(table, "{};", cells.collect::<Vec<_>>().join("|"));
        }
        table
    }
}
