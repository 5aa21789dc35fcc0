//! The modelled radix trees hold the entries that the manual shows, big-endian (Power ISA 3.1B Book III 6.7.10).

use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown_model::cpu::Fault;
use tlb_shootdown_model::cpu::powerpc::CpuFeatures;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::{Model, Temper};

/// Root index 4098, of which only 13 bits hold, then 1, 4, 5: with 64 KiB pages, the last is 0 of 32, and the rest is in the page.
const VA: u64 = 4098 << 39 | 1 << 30 | 4 << 21 | 5 << 12;
const FRAME: u64 = 0x1_0000;

fn model() -> Model {
    Model::new(1, Temper::Kind)
}

/// Follows the entries with these indices, each of which says how large the next table is.
fn follow(model: &Model, tables: &Tables, steps: &[(u64, u64)]) -> u64 {
    ModelBarriers::new(model.clone()).publish_tables();
    steps.iter().fold(tables.root(), |table, (index, size)| {
        let raw = model.peek(table + index * 8).swap_bytes();
        // V, L clear, NLS.
        assert_eq!(raw & 0xf000_0000_0000_00ff, 1 << 63 | size);
        raw & 0x0fff_ffff_ffff_ff00
    })
}

#[test]
fn pages_are_entries_with_every_bit_in_its_place() {
    let model = model();
    let tables = model.radix_tables();
    let frame = model.allocate(0x1000);
    tables.map(0, VA, Mapping::page(frame, Rights::ReadOnly));
    // V, L, R, C, read.
    let raw = tables.descriptor(VA).swap_bytes();
    assert_eq!(raw, frame | 0xc000_0000_0000_0184);
    tables.protect(0, VA, Rights::ReadWrite);
    let raw = tables.descriptor(VA).swap_bytes();
    assert_eq!(raw, frame | 0xc000_0000_0000_0186);
    let table = follow(&model, &tables, &[(4098, 9), (1, 9), (4, 9)]);
    assert_eq!(model.peek(table + 5 * 8), tables.descriptor(VA));
    assert_eq!(tables.unhang_table(0, VA), Some(table));
    assert_eq!(tables.descriptor(VA), 0);
    tables.rehang_table(0, VA, table);
    assert_eq!(follow(&model, &tables, &[(4098, 9), (1, 9), (4, 9)]), table);
    assert_eq!(tables.descriptor(VA).swap_bytes(), raw);
}

#[test]
fn pages_of_64_kib_hang_in_tables_of_32() {
    let model = model();
    let tables = model.radix_64k_tables();
    let frame = model.allocate(FRAME);
    tables.map(0, VA, Mapping::page(frame, Rights::ReadWrite));
    let table = follow(&model, &tables, &[(4098, 9), (1, 9), (4, 5)]);
    let raw = model.peek(table).swap_bytes();
    assert_eq!(raw, frame | 0xc000_0000_0000_0186);
    assert_eq!(tables.unmap(0, VA & !0xffff), Some(frame));
}

#[test]
fn large_pages_end_the_walk_with_the_leaf_bit() {
    let model = model();
    for (level, size) in [(2, 0x20_0000), (1, 0x4000_0000)] {
        let tables = model.radix_tables();
        let pa = model.allocate(size);
        let mapping = Mapping {
            level,
            ..Mapping::page(pa, Rights::ReadOnly)
        };
        tables.map(0, VA, mapping);
        let raw = tables.descriptor(VA).swap_bytes();
        assert_eq!(raw, pa | 0xc000_0000_0000_0184);
        // Another page of the same entry.
        assert_eq!(tables.unmap(0, VA ^ 0x3000), Some(pa));
    }
}

/// What the walker finds at VA once this doubleword has taken the place of the entry at a level.
fn walk_with(level: usize, change: impl Fn(u64) -> u64) -> Result<u64, Fault> {
    let model = Model::with_power_cpus(&[CpuFeatures::POWER10], Temper::Kind);
    let tables = model.radix_tables();
    let frame = model.allocate(0x1000);
    let va = 2 << 39 | VA & 0x7f_ffff_ffff;
    tables.map(0, va, Mapping::page(frame, Rights::ReadOnly));
    let path = [(2, 9), (1, 9), (4, 9)];
    let table = follow(&model, &tables, &path[..level]);
    let at = table + [2, 1, 4, 5][level] * 8;
    let raw = model.peek(at).swap_bytes();
    model.poke(at, change(raw).swap_bytes());
    let cpu = model.cpu(0);
    cpu.load(tables.root(), 5);
    cpu.read(va)
}

#[test]
fn entries_that_make_no_sense_are_faults() {
    assert_eq!(walk_with(0, |raw| raw), Ok(0));
    assert_eq!(walk_with(3, |raw| raw), Ok(0));
    let fault = Err(Fault::Translation);
    for level in 0..4 {
        // V clear, L changed, and the bytes in the CPU's order.
        assert_eq!(walk_with(level, |raw| raw & !(1 << 63)), fault);
        assert_eq!(walk_with(level, |raw| raw ^ 1 << 62), fault);
        assert_eq!(walk_with(level, u64::swap_bytes), fault);
    }
    // A next table of 32 entries; a page without the right to read; a large page that is not aligned.
    assert_eq!(walk_with(1, |raw| raw & !0x1f | 5), fault);
    assert_eq!(walk_with(3, |raw| raw & !4), fault);
    assert_eq!(walk_with(2, |_| 0xc000_0000_8010_0186), fault);
    // R clear interrupts.
    assert_eq!(walk_with(3, |raw| raw & !0x100), Err(Fault::AccessFlag));
}
