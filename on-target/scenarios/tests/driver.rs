//! The driver and the verdict, on a machine that is told what to do wrong.

mod fake;

use fake::{Fake, Quirks};
use tlb_shootdown_scenarios::{
    Access, Case, Cell, Failure, LINE_PREFIX, MAX_TRIES, Observer, Page, Refusal, Seen, Wrong,
    Yardstick, run, verdict,
};

const MODEL: &Yardstick = &Yardstick::AARCH64_SMMUV3_MODEL;
const QEMU: &Yardstick = &Yardstick::AARCH64_SMMUV3_QEMU;

fn cell(yardstick: &'static Yardstick, quirks: Quirks, case: Case, observer: Observer) -> Cell {
    run(&mut Fake::new(yardstick, quirks), case, observer)
        .expect("the fake machine explains itself")
}

fn every_cell() -> impl Iterator<Item = (Case, Observer)> {
    Case::ALL
        .into_iter()
        .flat_map(|case| Observer::ALL.map(|observer| (case, observer)))
}

#[test]
fn every_case_shows_the_stale_entry_and_its_cure() {
    for (case, observer) in every_cell() {
        let cell = cell(MODEL, Quirks::default(), case, observer);
        let control = if case == Case::Upgrade {
            Seen::Fault
        } else {
            Seen::Stale
        };
        assert_eq!(
            (cell.without, cell.with, cell.tries),
            (control, Seen::Fresh, 1),
            "{cell:?}"
        );
        assert_eq!(verdict(&cell, MODEL), Ok(()), "{cell:?}");
    }
}

#[test]
fn what_tcg_hides_is_unseen_and_nothing_else_is() {
    for (case, observer) in every_cell() {
        let quirks = Quirks {
            rewalks: true,
            ..Quirks::default()
        };
        let cell = cell(QEMU, quirks, case, observer);
        let hidden = case == Case::Upgrade && observer != Observer::Device;
        assert_eq!(cell.without == Seen::Unseen, hidden, "{cell:?}");
        assert_eq!(verdict(&cell, QEMU), Ok(()), "{cell:?}");
        assert_eq!(
            verdict(&cell, MODEL).is_err(),
            hidden,
            "the model may hide nothing: {cell:?}"
        );
    }
}

#[test]
fn a_control_that_missed_is_repeated_and_counted() {
    let forgetful = |forgetful_runs| {
        let quirks = Quirks {
            forgetful_runs,
            ..Quirks::default()
        };
        cell(QEMU, quirks, Case::Unmap, Observer::ThisCpu)
    };
    let second = forgetful(2);
    assert_eq!((second.without, second.tries), (Seen::Stale, 2));
    let never = forgetful(9);
    assert_eq!((never.without, never.tries), (Seen::Fresh, MAX_TRIES));
    let wrong = Wrong::Control {
        expected: Seen::Stale,
        seen: Seen::Fresh,
    };
    assert_eq!(verdict(&never, QEMU), Err(wrong));
}

#[test]
fn a_missed_observer_is_a_wrong_cure() {
    for (case, observer) in every_cell() {
        let quirks = Quirks {
            missed: Some(observer),
            ..Quirks::default()
        };
        let cell = cell(MODEL, quirks, case, observer);
        assert_eq!(
            verdict(&cell, MODEL),
            Err(Wrong::Cure(cell.without)),
            "{cell:?}"
        );
    }
}

/// Whoever gets through before the table is there has the large page again, and keeps it.
#[test]
fn a_split_without_an_invalid_entry_in_between_is_a_wrong_cure() {
    for observer in Observer::ALL {
        let quirks = Quirks {
            splits_at_once: true,
            ..Quirks::default()
        };
        let cell = cell(MODEL, quirks, Case::Split, observer);
        assert_eq!((cell.without, cell.with), (Seen::Stale, Seen::Stale));
        assert_eq!(verdict(&cell, MODEL), Err(Wrong::Cure(Seen::Stale)));
    }
}

/// Nothing of it is left to be seen afterwards: only the look in between tells.
#[test]
fn a_split_that_is_flushed_when_the_table_is_there_is_a_wrong_cure() {
    for observer in Observer::ALL {
        let quirks = Quirks {
            flushes_split_last: true,
            ..Quirks::default()
        };
        let cell = cell(MODEL, quirks, Case::Split, observer);
        assert_eq!(verdict(&cell, MODEL), Err(Wrong::Cure(Seen::Stale)));
    }
}

#[test]
fn a_split_that_moves_other_pages_as_well_is_a_failure() {
    let quirks = Quirks {
        loses_pages: true,
        ..Quirks::default()
    };
    let result = run(&mut Fake::new(MODEL, quirks), Case::Split, Observer::Device);
    assert!(
        matches!(
            result,
            Err(Failure::Check {
                page: Page(6),
                access: Access::Done(0xb06)
            })
        ),
        "{result:?}"
    );
}

#[test]
fn a_wrong_cost_is_a_wrong_cell() {
    let quirks = Quirks {
        extra_syncs: 1,
        ..Quirks::default()
    };
    let cell = cell(MODEL, quirks, Case::Space, Observer::Device);
    assert!(
        matches!(verdict(&cell, MODEL), Err(Wrong::Cost { counted, .. }) if counted.syncs == 2)
    );
}

#[test]
fn an_upgrade_refused_for_another_reason_is_wrong() {
    let quirks = Quirks {
        misreported: Some(Refusal::Other),
        ..Quirks::default()
    };
    let cell = cell(MODEL, quirks, Case::Upgrade, Observer::Device);
    assert_eq!(
        verdict(&cell, MODEL),
        Err(Wrong::Refusal(Some(Refusal::Other)))
    );
}

#[test]
fn a_refusal_without_a_reason_is_right_only_where_the_machine_is_known_for_it() {
    let unreported = |yardstick, case| {
        let quirks = Quirks {
            misreported: Some(Refusal::Unreported),
            ..Quirks::default()
        };
        run(&mut Fake::new(yardstick, quirks), case, Observer::Device)
    };
    for case in [Case::Upgrade, Case::Downgrade, Case::Unmap] {
        let cell = unreported(&Yardstick::X86_64_AMD_QEMU, case).expect("it explains itself");
        assert_eq!(cell.with, Seen::Fresh);
        // The fake machine's costs are another architecture's.
        assert!(
            matches!(
                verdict(&cell, &Yardstick::X86_64_AMD_QEMU),
                Err(Wrong::Cost { .. })
            ),
            "{cell:?}"
        );
        let elsewhere = unreported(MODEL, case);
        assert!(
            matches!(elsewhere, Err(Failure::Check { .. })),
            "{elsewhere:?}"
        );
    }
}

#[test]
fn a_refusal_that_neither_table_gives_is_a_failure() {
    let quirks = Quirks {
        misreported: Some(Refusal::Other),
        ..Quirks::default()
    };
    let result = run(&mut Fake::new(MODEL, quirks), Case::Unmap, Observer::Device);
    assert!(matches!(result, Err(Failure::Check { .. })), "{result:?}");
}

#[test]
fn a_cell_survives_its_serial_line() {
    for (case, observer) in every_cell() {
        let cell = cell(MODEL, Quirks::default(), case, observer);
        let mut line = String::new();
        cell.print(&mut line).expect("a string takes everything");
        let json = line.strip_prefix(LINE_PREFIX).expect("the prefix");
        assert_eq!(serde_json::from_str::<Cell>(json).expect("JSON"), cell);
        assert_eq!(Cell::from_line(&line), Some(Ok(cell)));
    }
    assert_eq!(Cell::from_line("hello"), None);
    assert!(Cell::from_line("cell {}").is_some_and(|cell| cell.is_err()));
}

#[test]
fn the_words_on_the_line_are_the_documented_ones() {
    let mut line = String::new();
    let cell = cell(MODEL, Quirks::default(), Case::Upgrade, Observer::Device);
    cell.print(&mut line).expect("a string takes everything");
    assert_eq!(
        line,
        "cell {\"case\":\"upgrade\",\"observer\":\"device\",\"without\":\"fault\",\"refusal\":\"permission\",\
         \"with\":\"fresh\",\"cost\":{\"store_barriers\":1,\"invalidations\":1,\"completion_barriers\":1,\"ipis\":0,\
         \"commands\":1,\"syncs\":1,\"doorbells\":1,\"queue_barriers\":1,\"escalations\":0},\"tries\":1}\n"
    );
}
