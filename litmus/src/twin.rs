//! The broken twins of a sequence: one instruction of it left out or weakened.

use crate::column::Step;
use crate::test::Sequence;

/// A sequence that is no longer what the library emits.
#[derive(Clone, Debug)]
pub(crate) struct Twin {
    /// What was done, fit for the name of a file.
    pub(crate) name: String,
    /// The same in words.
    pub(crate) what: String,
    pub(crate) sequence: Sequence,
}

/// Each instruction that the library has emitted, left out and weakened in every way there is.
pub(crate) fn all(sequence: &Sequence) -> Vec<Twin> {
    let mut twins = Vec::new();
    for (cpu, column) in sequence.columns.iter().enumerate() {
        let emitted = column.steps.iter().enumerate();
        let emitted = emitted.filter_map(|(index, step)| match step {
            Step::Emitted(instruction, _) => Some((index, instruction.name.clone())),
            Step::Fixed(_) => None,
        });
        for (number, (index, name)) in emitted.enumerate() {
            let edits = std::iter::once(None).chain(weaker(&name).into_iter().map(Some));
            let number = number + 1;
            let seen =
                |edit: &Option<String>| !is_unseen(sequence, cpu, number, &name, edit.as_deref());
            for instead in edits.filter(seen) {
                twins.push(edited(sequence, cpu, index, number, &name, instead));
            }
        }
    }
    twins
}

fn is_unseen(
    sequence: &Sequence,
    cpu: usize,
    number: usize,
    name: &str,
    instead: Option<&str>,
) -> bool {
    let edit = edit(name, instead);
    let (of_any, of_this) = (format!("P{cpu} {edit}"), format!("P{cpu} {number} {edit}"));
    let unseen = sequence.unseen;
    unseen.contains(&of_any.as_str()) || unseen.contains(&of_this.as_str())
}

/// The edit in words: `without ISB`, `DMB ISH for DSB ISH`.
fn edit(name: &str, instead: Option<&str>) -> String {
    match instead {
        None => format!("without {name}"),
        Some(instead) => format!("{instead} for {name}"),
    }
}

fn edited(
    sequence: &Sequence,
    cpu: usize,
    index: usize,
    number: usize,
    name: &str,
    instead: Option<String>,
) -> Twin {
    let edit = edit(name, instead.as_deref());
    let mut sequence = sequence.clone();
    let steps = &mut sequence.columns[cpu].steps;
    match (&mut steps[index], instead) {
        (Step::Emitted(instruction, _), Some(instead)) => instruction.name = instead,
        _ => drop(steps.remove(index)),
    }
    Twin {
        name: format!("p{cpu}-{number}-{}", edit.to_lowercase().replace(' ', "-")),
        what: format!("{edit}, instruction {number} of P{cpu}"),
        sequence,
    }
}

/// What looks like the instruction and does less.
fn weaker(name: &str) -> Vec<String> {
    match name {
        "DSB ISHST" => vec!["DMB ISHST".into()],
        "DSB ISH" => vec!["DSB ISHST".into(), "DMB ISH".into()],
        _ => name
            .strip_prefix("TLBI ")
            .and_then(|form| form.strip_suffix("IS"))
            .map(|local| format!("TLBI {local}"))
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;
    use crate::page::Page;

    fn names(sequence: &Sequence) -> Vec<String> {
        all(sequence).into_iter().map(|twin| twin.name).collect()
    }

    fn sequence() -> Sequence {
        let mut column = Column::default();
        let executed = [
            ("dsb ishst", None),
            ("tlbi vale1is", Some(0x0005_7000_0000_0400)),
            ("dsb ish", None),
            ("isb", None),
        ];
        column.emitted(&executed, &[Page::X.under(5)]).unwrap();
        Sequence {
            columns: vec![column],
            ..Sequence::default()
        }
    }

    #[test]
    fn every_instruction_is_left_out_and_weakened() {
        let expected = [
            "p0-1-without-dsb-ishst",
            "p0-1-dmb-ishst-for-dsb-ishst",
            "p0-2-without-tlbi-vale1is",
            "p0-2-tlbi-vale1-for-tlbi-vale1is",
            "p0-3-without-dsb-ish",
            "p0-3-dsb-ishst-for-dsb-ish",
            "p0-3-dmb-ish-for-dsb-ish",
            "p0-4-without-isb",
        ];
        assert_eq!(names(&sequence()), expected);
        let unseen = Sequence {
            unseen: &[
                "P0 without ISB",
                "P0 3 DMB ISH for DSB ISH",
                "P0 1 without DSB ISH",
                "P1 without DSB ISH",
            ],
            ..sequence()
        };
        assert_eq!(names(&unseen), expected[..6]);
    }

    #[test]
    fn a_twin_differs_in_one_line() {
        let good: Vec<_> = sequence().columns[0].lines().collect();
        for twin in all(&sequence()) {
            let lines: Vec<_> = twin.sequence.columns[0].lines().collect();
            let same = good.iter().filter(|line| lines.contains(line)).count();
            assert_eq!(same, good.len() - 1, "{}", twin.name);
        }
    }
}
