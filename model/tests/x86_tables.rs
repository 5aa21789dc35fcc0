//! The modelled x86-64 tables hold the entries that the manuals show (Intel SDM vol. 3, tables 4-14 to 4-20).

use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::{Model, Temper};

/// PML5 index 3, PML4 index 2, PDPT index 1, PD index 4, PT index 5.
const VA: u64 = 3 << 48 | 2 << 39 | 1 << 30 | 4 << 21 | 5 << 12;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

fn model() -> Model {
    Model::new(1, Temper::Kind)
}

/// Follows the table entries with these indices as the CPU that stored them sees them.
fn follow(model: &Model, tables: &Tables, indices: &[u64]) -> u64 {
    ModelBarriers::new(model.clone()).publish_tables();
    indices.iter().fold(tables.root(), |table, index| {
        let raw = model.peek(table + index * 8);
        // P, R/W, U/S, A: every right, so that the last entry decides.
        assert_eq!(raw & !ADDRESS, 0x27);
        raw & ADDRESS
    })
}

#[test]
fn pages_are_ptes_with_every_bit_in_its_place() {
    let model = model();
    let tables = model.x86_tables();
    let frame = model.allocate(0x1000);
    let va = VA & 0xffff_ffff_ffff;
    tables.map(0, va, Mapping::page(frame, Rights::ReadOnly));
    // XD, D, A, U/S, P.
    assert_eq!(tables.descriptor(va), frame | 0x8000_0000_0000_0065);
    tables.protect(0, va, Rights::ReadWrite);
    assert_eq!(tables.descriptor(va), frame | 0x8000_0000_0000_0067);
    let table = follow(&model, &tables, &[2, 1, 4]);
    assert_eq!(model.peek(table + 5 * 8), tables.descriptor(va));
    let raw = tables.descriptor(va);
    assert_eq!(tables.unhang_table(0, va), Some(table));
    assert_eq!(tables.descriptor(va), 0);
    tables.rehang_table(0, va, table);
    assert_eq!(follow(&model, &tables, &[2, 1, 4]), table);
    assert_eq!(tables.descriptor(va), raw);
}

#[test]
fn five_levels_translate_57_bits() {
    let model = model();
    let tables = model.x86_la57_tables();
    let frame = model.allocate(0x1000);
    tables.map(0, VA, Mapping::page(frame, Rights::ReadWrite));
    let table = follow(&model, &tables, &[3, 2, 1, 4]);
    assert_eq!(model.peek(table + 5 * 8), frame | 0x8000_0000_0000_0067);
    assert_eq!(tables.unmap(0, VA), Some(frame));
    assert_eq!(tables.unhang_table(0, VA), Some(table));
}

#[test]
fn large_pages_end_the_walk_with_the_page_size_bit() {
    let model = model();
    let tables = model.x86_tables();
    for (level, size, va) in [(2, 0x20_0000, 0x20_0000), (1, 0x4000_0000, 0x4000_0000)] {
        let frame = model.allocate(size);
        let mapping = Mapping {
            level,
            global: true,
            ..Mapping::page(frame, Rights::ReadOnly)
        };
        tables.map(0, va, mapping);
        // XD, G, PS, D, A, U/S, P.
        assert_eq!(
            tables.descriptor(va + 0x5000),
            frame | 0x8000_0000_0000_01e5
        );
        assert_eq!(tables.unmap(0, va), Some(frame));
    }
}

#[test]
fn a_table_may_be_moved_and_hang_in_two_trees() {
    let model = model();
    let (tables, other) = (model.x86_tables(), model.x86_tables());
    let frame = model.allocate(0x1000);
    let (va, moved) = (VA & 0xffff_ffff_ffff, 7 << 39 | 5 << 12);
    tables.map(0, va, Mapping::page(frame, Rights::ReadOnly));
    let table = tables.unhang_table(0, va).expect("it has one");
    assert_eq!(tables.table_at(va, 2), None);
    tables.hang_table(0, moved, 2, table);
    other.hang_table(0, va, 2, table);
    for (tree, va) in [(&tables, moved), (&other, va)] {
        assert_eq!(tree.table_at(va, 2), Some(table));
        // XD, D, A, U/S, P.
        assert_eq!(tree.descriptor(va), frame | 0x8000_0000_0000_0065);
    }
    // A cleared.
    other.set_descriptor(0, va, frame | 0x8000_0000_0000_0045);
    assert_eq!(tables.descriptor(moved), frame | 0x8000_0000_0000_0045);
}
