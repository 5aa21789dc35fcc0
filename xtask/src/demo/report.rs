//! The cells of one run of the demo, judged.

use serde::Serialize;
use tlb_shootdown_scenarios::{Case, Cell, Cost, Observer, Seen, Yardstick, verdict};

use crate::arch::{Architecture, Machine};

/// What became of one machine.
#[derive(Debug)]
pub(crate) enum Part {
    /// It was booted, or its model was.
    Played(Report),
    /// There is no emulator for it here, and no model.
    NotRun {
        /// The machine.
        machine: &'static Machine,
        /// What is lacking.
        why: String,
    },
}

impl Part {
    fn report(&self) -> Option<&Report> {
        match self {
            Self::Played(report) => Some(report),
            Self::NotRun { .. } => None,
        }
    }

    /// The machine that was meant.
    pub(crate) fn machine(&self) -> &'static Machine {
        match self {
            Self::Played(report) => report.machine,
            Self::NotRun { machine, .. } => machine,
        }
    }

    /// How many cells are as they must be.
    pub(crate) fn right(&self) -> u64 {
        self.report().map_or(0, Report::right)
    }

    /// Whether something else, or nothing, was shown because there is no emulator for it.
    pub(crate) fn is_a_stopgap(&self) -> bool {
        self.report().is_none_or(|report| report.instead)
    }

    /// See [`Report::faults`]; what was not run has none.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.report().map(Report::faults).unwrap_or_default()
    }

    /// What a machine with faults wrote last.
    pub(crate) fn last_words(&self) -> Option<&str> {
        let report = self.report().filter(|report| !report.faults().is_empty());
        let last_words = report.map(|report| report.last_words.as_str());
        last_words.filter(|text| !text.is_empty())
    }

    /// One JSON object a line.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        self.report().map_or(Ok(String::new()), Report::json)
    }
}

/// What the demo showed on one machine.
#[derive(Debug)]
pub(crate) struct Report {
    /// The architecture.
    pub(crate) arch: &'static Architecture,
    /// The machine that was meant.
    pub(crate) machine: &'static Machine,
    /// What the table calls a device behind its IOMMU, where there is one.
    pub(crate) device: Option<&'static str>,
    /// The name of what was used: the machine's board, or the model.
    pub(crate) board: &'static str,
    /// What of the IOMMU was used there, where the name alone does not tell.
    pub(crate) remark: &'static str,
    /// `qemu VERSION` or `model`.
    pub(crate) ran_on: String,
    /// What holds of that machine.
    pub(crate) yardstick: &'static Yardstick,
    /// Whether it was played on the model for want of an emulator.
    pub(crate) instead: bool,
    /// What was seen, in the order it was seen.
    pub(crate) cells: Vec<Cell>,
    /// What went wrong with the run itself, one line each.
    pub(crate) troubles: Vec<String>,
    /// The last lines that the machine wrote besides the cells.
    pub(crate) last_words: String,
}

/// A cell as a line of JSON.
#[derive(Serialize)]
struct Record<'a> {
    arch: &'a str,
    machine: &'a str,
    iommu: &'a str,
    case: Case,
    observer: Observer,
    without: Seen,
    with: Seen,
    cost: Cost,
    ran_on: &'a str,
}

impl Report {
    fn right(&self) -> u64 {
        self.cells
            .iter()
            .filter(|cell| verdict(cell, self.yardstick).is_ok())
            .count() as u64
    }

    /// Everything that is not as it must be, one line each: wrong cells, missing cells, a failed run.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for cell in &self.cells {
            if let Err(wrong) = verdict(cell, self.yardstick) {
                faults.push(self.fault(cell.case, cell.observer, wrong));
            }
        }
        for case in Case::ALL {
            for &observer in self.yardstick.observers {
                if !self
                    .cells
                    .iter()
                    .any(|cell| (cell.case, cell.observer) == (case, observer))
                {
                    faults.push(self.fault(case, observer, "no such cell"));
                }
            }
        }
        let troubles = self.troubles.iter();
        faults.extend(troubles.map(|trouble| format!("{}: {trouble}", self.place())));
        faults
    }

    fn fault(&self, case: Case, observer: Observer, wrong: impl std::fmt::Display) -> String {
        let (case, observer) = (word(&case), word(&observer));
        format!("{}: {case}, {observer}: {wrong}", self.place())
    }

    fn place(&self) -> String {
        format!("{} {}", self.arch.name, self.machine.name)
    }

    /// One JSON object a line.
    fn json(&self) -> serde_json::Result<String> {
        let mut lines = String::new();
        for cell in &self.cells {
            let record = Record {
                arch: self.arch.name,
                machine: self.board,
                iommu: self.machine.iommu,
                case: cell.case,
                observer: cell.observer,
                without: cell.without,
                with: cell.with,
                cost: cell.cost,
                ran_on: &self.ran_on,
            };
            lines.push_str(&serde_json::to_string(&record)?);
            lines.push('\n');
        }
        Ok(lines)
    }
}

/// The word that stands for a value in every form of the table.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::arch;
    use tlb_shootdown_scenarios::Refusal;

    /// A report of AArch64 in which every cell is as it must be.
    pub(crate) fn right() -> Report {
        let arch = arch::ALL[0];
        let (machine, demo) = arch.demos().next().unwrap();
        right_on(arch, machine, demo.yardstick)
    }

    /// A report in which every cell is as it must be.
    pub(crate) fn right_on(
        arch: &'static Architecture,
        machine: &'static Machine,
        yardstick: &'static Yardstick,
    ) -> Report {
        let cells = Case::ALL.into_iter().flat_map(|case| {
            yardstick.observers.iter().map(move |&observer| Cell {
                case,
                observer,
                without: match case {
                    Case::Upgrade if yardstick.hides(case, observer) => Seen::Unseen,
                    Case::Upgrade => Seen::Fault,
                    _ => Seen::Stale,
                },
                refusal: (case == Case::Upgrade).then_some(Refusal::Permission),
                with: Seen::Fresh,
                cost: yardstick.cost(case, observer),
                tries: 1,
            })
        });
        Report {
            arch,
            machine,
            device: machine.device,
            board: machine.board,
            remark: machine.remark,
            ran_on: "qemu 0.0.0".into(),
            yardstick,
            instead: false,
            cells: cells.collect(),
            troubles: Vec::new(),
            last_words: String::new(),
        }
    }

    #[test]
    fn twenty_seven_right_cells_have_no_fault() {
        let report = right();
        assert_eq!(report.right(), 27);
        assert_eq!(report.faults(), Vec::<String>::new());
    }

    #[test]
    fn a_control_that_shows_nothing_is_a_fault() {
        let mut report = right();
        let unmap = report
            .cells
            .iter_mut()
            .find(|cell| cell.case == Case::Unmap)
            .unwrap();
        unmap.without = Seen::Fresh;
        assert_eq!(report.right(), 26);
        assert_eq!(
            report.faults(),
            ["aarch64 smmuv3: unmap, this-cpu: without: Stale expected, Fresh seen"]
        );
    }

    #[test]
    fn unseen_off_the_list_is_a_fault() {
        let mut report = right();
        for cell in &mut report.cells {
            cell.without = Seen::Unseen;
        }
        assert_eq!(report.right(), 2);
        assert_eq!(report.faults().len(), 25);
    }

    #[test]
    fn a_missing_cell_and_a_failed_run_are_faults() {
        let mut report = right();
        report.cells.pop();
        report.troubles.push("the kernel panicked".into());
        assert_eq!(
            report.faults(),
            [
                "aarch64 smmuv3: split, device: no such cell",
                "aarch64 smmuv3: the kernel panicked"
            ]
        );
    }

    /// A device is missed only where there is one.
    #[test]
    fn a_machine_without_a_device_has_eighteen_cells() {
        let power = arch::ALL[2];
        let (machine, demo) = power.demos().next().unwrap();
        let mut report = right_on(power, machine, demo.yardstick);
        assert_eq!((report.right(), report.faults()), (18, Vec::new()));
        report.cells.pop();
        assert_eq!(
            report.faults(),
            ["powerpc powernv9: split, other-cpu: no such cell"]
        );
    }

    #[test]
    fn json_has_exactly_the_promised_keys() {
        let json = right().json().unwrap();
        let first = json.lines().next().unwrap();
        assert_eq!(
            first,
            "{\"arch\":\"aarch64\",\"machine\":\"virt\",\"iommu\":\"smmuv3\",\"case\":\"upgrade\",\
             \"observer\":\"this-cpu\",\"without\":\"unseen\",\"with\":\"fresh\",\"cost\":{\
             \"store_barriers\":1,\"invalidations\":1,\"completion_barriers\":1,\"ipis\":0,\
             \"commands\":0,\"syncs\":0,\"doorbells\":0,\"queue_barriers\":0,\"escalations\":0},\
             \"ran_on\":\"qemu 0.0.0\"}"
        );
        assert_eq!(json.lines().count(), 27);
    }
}
