//! The window between a store and the return of its flush: what may be stored there, and what nobody may rely on.

use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::Violation;
use tlb_shootdown_model::{Model, Temper};

/// In one table of the last level with its neighbours, in each of the formats.
const VA: u64 = 0x4000_0000;
/// What one table of the last level covers.
const TABLE: u64 = 0x20_0000;

/// Every format that CPUs walk.
fn machines() -> [(Model, Tables); 3] {
    let model = || Model::new(1, Temper::Kind);
    let of = |make: fn(&Model) -> Tables| {
        let model = model();
        let tables = make(&model);
        (model, tables)
    };
    [
        of(Model::tables),
        of(Model::x86_tables),
        of(Model::radix_tables),
    ]
}

fn map(model: &Model, tables: &Tables, va: u64, rights: Rights) -> u64 {
    let frame = model.allocate(0x1000);
    tables.map(0, va, Mapping::page(frame, rights));
    frame
}

fn relies_on(model: &Model, tables: &Tables, first: u64, last: u64) -> Vec<Violation> {
    model.relies_on(tables.root(), first, last);
    model.violations()
}

fn returned(model: &Model, tables: &Tables, first: u64, last: u64) {
    model.returned(tables.root(), first, last);
}

const INSTALLED: Violation = Violation::InstalledWhilePending { va: VA };
const RELIED: Violation = Violation::ReliedWhilePending { va: VA };

#[test]
fn nothing_is_installed_where_a_removal_is_pending() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadOnly);
        assert_eq!(model.violations(), []);
        tables.unmap(0, VA);
        map(&model, &tables, VA, Rights::ReadOnly);
        assert_eq!(model.violations(), [INSTALLED]);
    }
}

/// Whoever still uses it may have other rights than it gets.
#[test]
fn the_frame_that_was_there_is_no_exception() {
    for (model, tables) in machines() {
        let frame = map(&model, &tables, VA, Rights::ReadWrite);
        tables.unmap(0, VA);
        tables.map(0, VA, Mapping::page(frame, Rights::ReadOnly));
        assert_eq!(model.violations(), [INSTALLED]);
    }
}

#[test]
fn what_follows_a_flush_is_no_installation_too_early() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadOnly);
        tables.unmap(0, VA);
        // One byte less is another flush.
        returned(&model, &tables, VA, VA + 0xffe);
        assert_eq!(relies_on(&model, &tables, VA, VA), [RELIED]);
        returned(&model, &tables, VA, VA + 0xfff);
        map(&model, &tables, VA, Rights::ReadOnly);
        assert_eq!(model.violations(), []);
    }
}

#[test]
fn the_pages_beside_it_may_be_mapped() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadOnly);
        tables.unmap(0, VA);
        map(&model, &tables, VA + 0x1000, Rights::ReadOnly);
        // Another tree is another matter.
        let other = model.tables();
        map(&model, &other, VA, Rights::ReadOnly);
        assert_eq!(model.violations(), []);
    }
}

#[test]
fn rights_that_change_in_place_are_no_installation() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadWrite);
        for rights in [Rights::ReadOnly, Rights::ReadWrite, Rights::ReadOnly] {
            tables.protect(0, VA, rights);
        }
        assert_eq!(model.violations(), []);
    }
}

/// The table is reached through what walk caches have of the old one.
#[test]
fn no_table_is_hung_where_one_was_taken_out() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadOnly);
        tables.unhang_table(0, VA);
        map(&model, &tables, VA + 0x5000, Rights::ReadOnly);
        let va = VA + 0x5000;
        assert_eq!(
            model.violations(),
            [INSTALLED, Violation::InstalledWhilePending { va }]
        );
        // Of the leaves alone.
        tables.unhang_table(0, VA);
        returned(&model, &tables, VA, VA + 0xfff);
        assert_eq!(relies_on(&model, &tables, VA, VA), [RELIED]);
        returned(&model, &tables, VA, VA + TABLE - 1);
        map(&model, &tables, VA + 0x5000, Rights::ReadOnly);
        assert_eq!(model.violations(), []);
    }
}

/// A large page lies over whatever of the small ones is pending, and the other way round.
#[test]
fn pages_of_other_sizes_are_in_each_others_way() {
    for (model, tables) in machines() {
        let large = Mapping {
            level: 2,
            ..Mapping::page(model.allocate(TABLE), Rights::ReadOnly)
        };
        tables.map(0, VA, large);
        tables.unmap(0, VA);
        map(&model, &tables, VA + 0x5000, Rights::ReadOnly);
        let va = VA + 0x5000;
        assert_eq!(
            model.violations(),
            // The table, and the page in it.
            [INSTALLED, Violation::InstalledWhilePending { va }]
        );
    }
}

/// Every entry is live at each moment, and the first of them may still be. That some CPUs forbid it is another objection.
#[test]
fn an_entry_that_was_replaced_is_pending_as_well() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadOnly);
        map(&model, &tables, VA, Rights::ReadOnly);
        assert!(!model.violations().contains(&INSTALLED));
        map(&model, &tables, VA, Rights::ReadOnly);
        assert!(model.violations().contains(&INSTALLED));
    }
}

#[test]
fn nobody_relies_on_what_has_not_been_flushed() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadWrite);
        assert_eq!(relies_on(&model, &tables, 0, u64::MAX), [], "installed");
        tables.unmap(0, VA);
        assert_eq!(relies_on(&model, &tables, VA + 0x1000, u64::MAX), []);
        assert_eq!(relies_on(&model, &tables, 0, VA - 1), []);
        assert_eq!(relies_on(&model, &tables, 0, VA), [RELIED]);
        returned(&model, &tables, VA, VA + 0xfff);
        assert_eq!(relies_on(&model, &tables, 0, u64::MAX), []);
    }
}

/// Somebody may still write. Rights that somebody does not have yet harm nobody.
#[test]
fn rights_taken_away_are_relied_on_and_rights_given_are_not() {
    for (model, tables) in machines() {
        map(&model, &tables, VA, Rights::ReadOnly);
        tables.protect(0, VA, Rights::ReadWrite);
        assert_eq!(relies_on(&model, &tables, 0, u64::MAX), []);
        tables.protect(0, VA, Rights::ReadOnly);
        assert_eq!(relies_on(&model, &tables, 0, u64::MAX), [RELIED]);
    }
}
