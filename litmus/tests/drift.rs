//! The committed litmus tests are those of the sequences that the library emits.

use std::fs;
use std::path::PathBuf;

use tlb_shootdown_litmus::{Property, Verdict, committed, properties};

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn played() -> Vec<Property> {
    properties().expect("every scenario can be written down")
}

#[test]
fn committed_tests_are_what_the_library_emits() {
    let differences = committed::differences(&committed::folder(), &played()).unwrap();
    assert!(
        differences.is_empty(),
        "{}\nwhere that is what was meant: cargo xtask verify --bless",
        differences.join("\n")
    );
}

#[test]
fn a_changed_a_missing_and_a_foreign_file_are_differences() {
    let (folder, properties) = (scratch("drift"), played());
    committed::write(&folder, &properties).unwrap();
    assert_eq!(
        committed::differences(&folder, &properties).unwrap(),
        [""; 0]
    );

    let changed = folder.join("unmap-page/emitted.litmus");
    let text = fs::read_to_string(&changed).unwrap();
    fs::write(&changed, text.replace("DSB ISHST", "DMB ISHST")).unwrap();
    fs::remove_file(folder.join("replace/emitted.litmus")).unwrap();
    fs::write(folder.join("own.litmus"), "").unwrap();
    let differences = committed::differences(&folder, &properties).unwrap();
    let [missing, of_changed, foreign] = differences.as_slice() else {
        panic!("{differences:?}");
    };
    assert_eq!(missing, "replace/emitted.litmus: missing");
    assert!(of_changed.starts_with("unmap-page/emitted.litmus: committed `DMB ISHST"));
    assert_eq!(foreign, "own.litmus: not generated");
}

/// Each scenario has one sequence that is right, and at least one twin that shows what would happen otherwise.
#[test]
fn every_scenario_has_twins() {
    for property in played() {
        let is_right = |verdict| verdict == Verdict::Never;
        let (good, twins) = property.tests.split_first().expect("the sequence itself");
        assert!(is_right(good.expected), "{}", property.name);
        assert!(!twins.is_empty(), "{}", property.name);
        assert!(twins.iter().all(|twin| !is_right(twin.expected)));
    }
}
