//! Exploration: every run within its bounds, each once, and faults that show in one of them alone.

use std::collections::BTreeSet;
use tlb_shootdown::arch::aarch64::instructions::Instructions;
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::explore::{Bounds, choose, explore, note, replay};
use tlb_shootdown_model::memory::{Mapping, descriptor::Rights};
use tlb_shootdown_model::{Model, Temper};

const ALL: Bounds = Bounds {
    deviations: usize::MAX,
    runs: u64::MAX,
};

#[test]
fn every_combination_is_one_run() {
    let mut seen = BTreeSet::new();
    let explored = explore(ALL, || {
        let first = choose(3);
        let others: Vec<_> = (0..first).map(|_| choose(2)).collect();
        assert!(seen.insert((first, others)));
    });
    assert_eq!(seen.len(), 1 + 2 + 4);
    assert_eq!((explored.runs, explored.is_complete), (7, true));
}

#[test]
fn bound_on_runs_makes_it_incomplete() {
    let bounds = Bounds { runs: 5, ..ALL };
    let explored = explore(bounds, || {
        choose(6);
    });
    assert_eq!((explored.runs, explored.is_complete), (5, false));
}

const VA: u64 = 0x4000;

/// CPU 0 unmaps a page that CPU 1 uses, with or without its barriers; whether anybody saw what must not be.
fn shootdown(barriers: [bool; 2]) -> bool {
    let model = Model::new(2, Temper::Explored);
    let tables = model.tables();
    let frame = model.allocate(0x1000);
    let cpu0 = ModelInstructions::new(model.clone());
    tables.map(0, VA, Mapping::page(frame, Rights::ReadWrite));
    cpu0.dsb_ishst();
    let cpu1 = model.cpu(1);
    cpu1.run(tables.root(), 5);
    assert_eq!(cpu1.read(VA), Ok(0));
    tables.unmap(0, VA);
    if barriers[0] {
        cpu0.dsb_ishst();
    }
    cpu0.tlbi_vae1is(5 << 48 | VA >> 12);
    let _ = cpu1.read(VA);
    if barriers[1] {
        cpu0.dsb_ish();
    }
    model.returned(tables.root(), VA, VA + 0xfff);
    note(&model);
    let _ = cpu1.read(VA);
    !model.violations().is_empty()
}

#[test]
fn sequence_that_is_right_is_right_in_every_run() {
    let bounds = Bounds {
        deviations: 3,
        ..ALL
    };
    let explored = explore(bounds, || assert!(!shootdown([true, true])));
    assert!(explored.is_complete);
    assert!(explored.runs > 50 && explored.states > 1, "{explored:?}");
}

#[test]
fn missing_barriers_show_in_some_run_and_not_in_all() {
    for barriers in [[false, true], [true, false]] {
        let mut seen = [0_u64; 2];
        let bounds = Bounds {
            deviations: 2,
            ..ALL
        };
        explore(bounds, || seen[usize::from(shootdown(barriers))] += 1);
        assert!(seen.iter().all(|&runs| runs > 0), "{barriers:?}: {seen:?}");
    }
}

/// What a failed run has printed leads to the same end.
#[test]
fn run_can_be_replayed() {
    let outcome = || (0..3).map(|_| choose(4)).collect::<Vec<_>>();
    let mut replayed = Vec::new();
    replay("3.0.2", || replayed = outcome());
    assert_eq!(replayed, [3, 0, 2]);
}
