//! What a kernel prints of its machine.

mod fake;

use fake::{Fake, Quirks};
use tlb_shootdown_scenarios::{Case, Cell, Observer, Yardstick, show};

/// What is printed of a machine, and how many cells of it are said to be wrong.
fn shown(yardstick: &'static Yardstick, quirks: Quirks) -> (String, u32) {
    let mut out = String::new();
    let wrong = show(&mut Fake::new(yardstick, quirks), &mut out).expect("a string takes all");
    (out, wrong)
}

fn cells(text: &str) -> Vec<(Case, Observer)> {
    let cells = text.lines().filter_map(Cell::from_line);
    cells
        .map(|cell| cell.expect("a cell"))
        .map(|cell| (cell.case, cell.observer))
        .collect()
}

#[test]
fn every_observer_of_the_machine_is_shown_and_no_other() {
    let (text, wrong) = shown(&Yardstick::AARCH64_SMMUV3_MODEL, Quirks::default());
    assert_eq!((cells(&text).len(), wrong), (27, 0));
    let hidden = Quirks {
        rewalks: true,
        ..Quirks::default()
    };
    let (text, _) = shown(&Yardstick::POWER10_QEMU, hidden);
    let devices = cells(&text)
        .iter()
        .filter(|(_, observer)| *observer == Observer::Device)
        .count();
    assert_eq!((cells(&text).len(), devices), (18, 0));
}

#[test]
fn what_is_wrong_is_counted_and_said_below_its_cell() {
    let missed = Quirks {
        missed: Some(Observer::OtherCpu),
        ..Quirks::default()
    };
    let (text, wrong) = shown(&Yardstick::AARCH64_SMMUV3_MODEL, missed);
    assert_eq!((cells(&text).len(), wrong), (27, 9));
    assert_eq!(text.matches("as OtherCpu sees it: with: Fresh").count(), 9);
}
