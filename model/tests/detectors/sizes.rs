//! Two sizes of one address in one TLB.

use crate::{TABLE, VA, aarch64, large, map, objects, power, x86};
use tlb_shootdown::arch::aarch64::instructions::Instructions as _;
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown_model::cpu::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::{Model, Temper};

/// A CPU holds the large page, and the kernel hangs a table of small ones in its place, without a flush between.
fn split_without_a_flush(model: &Model, tables: &Tables, publish: &dyn Fn()) -> bool {
    tables.map(0, VA, large(model.allocate(TABLE)));
    publish();
    let cpu = model.cpu(1);
    cpu.load(tables.root(), 5);
    cpu.read(VA).unwrap();
    tables.unmap(0, VA);
    map(model, tables, VA + 0x5000);
    publish();
    // What it holds of the large page does not answer here, because nobody asks it: the walk is by itself.
    cpu.speculate(VA + 0x5000);
    let (holder, va) = (Holder::Cpu(1), VA + 0x5000);
    objects(model, Violation::SizesConflict { holder, va })
}

#[test]
fn every_architecture_has_two_sizes_at_once() {
    let x86 = x86();
    let fence = ModelBarriers::new(x86.clone());
    let tables = x86.x86_tables();
    assert!(split_without_a_flush(&x86, &tables, &|| fence.publish_tables()));
    let power = power();
    let fence = ModelBarriers::new(power.clone());
    let tables = power.radix_tables();
    assert!(split_without_a_flush(&power, &tables, &|| fence.publish_tables()));
    let arm = aarch64();
    let fence = ModelInstructions::new(arm.clone());
    assert!(split_without_a_flush(&arm, &arm.tables(), &|| fence.dsb_ishst()));
}

#[test]
fn cpus_that_resize_may_hold_two_sizes() {
    let features = CpuFeatures {
        resizes: true,
        ..CpuFeatures::default()
    };
    let model = Model::with_cpus(&[features; 2], Temper::Late);
    let fence = ModelInstructions::new(model.clone());
    let tables = model.tables();
    assert!(!split_without_a_flush(&model, &tables, &|| fence.dsb_ishst()));
}

/// With the flush in between nobody has two.
#[test]
fn a_flush_in_between_leaves_one_size() {
    let model = aarch64();
    let on = ModelInstructions::new(model.clone());
    let tables = model.tables();
    tables.map(0, VA, large(model.allocate(TABLE)));
    on.dsb_ishst();
    let cpu = model.cpu(1);
    cpu.run(tables.root(), 5);
    cpu.read(VA).unwrap();
    tables.unmap(0, VA);
    on.dsb_ishst();
    on.tlbi_aside1is(5 << 48);
    on.dsb_ish();
    model.returned(tables.root(), VA, VA + TABLE - 1);
    map(&model, &tables, VA + 0x5000);
    on.dsb_ishst();
    cpu.speculate(VA + 0x5000);
    assert_eq!(model.violations(), []);
}
