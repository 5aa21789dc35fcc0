//! Stores over entries that are live.

use crate::{TABLE, VA, aarch64, large, machines, map, objects};
use tlb_shootdown_model::cpu::CpuFeatures;
use tlb_shootdown_model::memory::descriptor::{CONTIGUOUS, Rights};
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::Violation;
use tlb_shootdown_model::{Model, Temper};

const SKIPPED: Violation = Violation::BreakSkipped { va: VA };

/// A table that maps the large page in small ones, at another address first.
fn split(model: &Model, tables: &Tables, frame: u64) -> u64 {
    let beside = VA + TABLE;
    for page in 0..4 {
        let small = Mapping::page(frame + page * 0x1000, Rights::ReadWrite);
        tables.map(0, beside + page * 0x1000, small);
    }
    let table = tables.table_at(beside, 2).unwrap();
    assert_eq!(model.violations(), []);
    table
}

/// A kernel that hangs the table where the large page is.
#[test]
fn a_large_page_is_not_split_while_it_is_live() {
    for (model, tables) in machines() {
        let frame = model.allocate(TABLE);
        tables.map(0, VA, large(frame));
        let table = split(&model, &tables, frame);
        tables.hang_table(0, VA, 2, table);
        assert!(objects(&model, SKIPPED));
    }
}

#[test]
fn a_large_page_is_split_by_way_of_an_invalid_entry() {
    for (model, tables) in machines() {
        let frame = model.allocate(TABLE);
        tables.map(0, VA, large(frame));
        let table = split(&model, &tables, frame);
        tables.unmap(0, VA);
        model.returned(tables.root(), VA, VA + TABLE - 1);
        tables.hang_table(0, VA, 2, table);
        assert_eq!(model.violations(), []);
    }
}

#[test]
fn a_table_is_not_collapsed_while_it_is_live() {
    for (model, tables) in machines() {
        map(&model, &tables, VA);
        tables.map(0, VA, large(model.allocate(TABLE)));
        assert!(objects(&model, SKIPPED));
    }
}

/// Another frame, with one size: x86-64 has a flush afterwards, and nothing in between (Intel SDM Vol 3A 4.10.2.3).
#[test]
fn a_live_page_leads_elsewhere_on_x86_64_alone() {
    let objections = machines().map(|(model, tables)| {
        map(&model, &tables, VA);
        map(&model, &tables, VA);
        objects(&model, SKIPPED)
    });
    assert_eq!(objections, [true, false, true]);
}

#[test]
fn the_contiguous_bit_is_a_size() {
    let model = aarch64();
    let tables = model.tables();
    map(&model, &tables, VA);
    let raw = tables.descriptor(VA);
    tables.set_descriptor(0, VA, raw | CONTIGUOUS);
    assert!(objects(&model, SKIPPED));
}

/// Level 2 of FEAT_BBM: sizes, and not places.
#[test]
fn cpus_that_resize_are_asked_for_places_alone() {
    let features = CpuFeatures {
        resizes: true,
        ..CpuFeatures::default()
    };
    let model = Model::with_cpus(&[features; 2], Temper::Late);
    let tables = model.tables();
    let frame = model.allocate(TABLE);
    tables.map(0, VA, large(frame));
    let table = split(&model, &tables, frame);
    tables.hang_table(0, VA, 2, table);
    assert_eq!(model.violations(), []);
    map(&model, &tables, VA + TABLE);
    assert!(objects(&model, Violation::BreakSkipped { va: VA + TABLE }));
}

/// Rights, and software's bits, change in place.
#[test]
fn rights_change_while_they_are_live() {
    for (model, tables) in machines() {
        map(&model, &tables, VA);
        tables.protect(0, VA, Rights::ReadOnly);
        tables.protect(0, VA, Rights::ReadWrite);
        assert_eq!(model.violations(), []);
    }
}

/// A device's copy of the table is no CPU's.
#[test]
fn what_no_cpu_walks_is_not_judged() {
    let model = aarch64();
    let tables = model.radix_tables();
    map(&model, &tables, VA);
    map(&model, &tables, VA);
    assert_eq!(model.violations(), []);
}
