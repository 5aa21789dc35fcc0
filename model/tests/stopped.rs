//! CPUs that are stopped: what they hold counts again when they go on.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use tlb_shootdown::arch::aarch64::instructions::Instructions as _;
use tlb_shootdown::cpu_set::{CpuId, CpuSet};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::cpu::{CpuPort, Fault, ModelInstructions};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::{ModelPlatform, PlainArch};
use tlb_shootdown_model::{Model, Temper};

const VA: u64 = 0x40_0000;
/// ASID 5 in 63:48, VA[55:12] in 43:0.
const OPERAND: u64 = 0x0005_0000_0000_0400;

/// Of two CPUs the second runs one page, which it has cached.
fn machine() -> (Model, Tables, CpuPort) {
    let model = Model::new(2, Temper::Late);
    let tables = model.tables();
    let frame = model.allocate(0x1000);
    tables.map(0, VA, Mapping::page(frame, Rights::ReadOnly));
    ModelInstructions::new(model.clone()).dsb_ishst();
    let cpu = model.cpu(1);
    cpu.run(tables.root(), 5);
    cpu.read(VA).unwrap();
    (model, tables, cpu)
}

/// Unmapped, and flushed on the first CPU alone.
fn unmap(model: &Model, tables: &Tables) {
    let on = ModelInstructions::new(model.clone());
    tables.unmap(0, VA);
    on.dsb_ishst();
    on.tlbi_vale1(OPERAND);
    on.dsb_nsh();
    model.returned(tables.root(), 0, u64::MAX);
}

#[test]
fn a_stopped_cpu_uses_nothing() {
    let (model, tables, cpu) = machine();
    cpu.stop();
    assert_eq!(cpu.read(VA), Err(Fault::Translation));
    unmap(&model, &tables);
    assert_eq!(model.violations(), []);
}

#[test]
fn it_comes_back_with_what_it_held() {
    let (model, tables, cpu) = machine();
    cpu.stop();
    unmap(&model, &tables);
    cpu.start();
    let holder = Holder::Cpu(1);
    let held = Violation::HeldStale { holder, va: VA };
    assert_eq!(model.violations(), [held]);
}

#[test]
fn it_completes_what_it_has_issued_before_it_stops() {
    let (model, _, cpu) = machine();
    let platform = ModelPlatform::<PlainArch>::new(model.clone());
    platform.set_current(1);
    let pinned = platform.pin_cpu();
    ModelInstructions::new(model.clone()).tlbi_vale1is(OPERAND);
    drop(pinned);
    cpu.stop();
    assert_eq!(
        model.violations(),
        [Violation::MigratedIncomplete { cpu: 1 }]
    );
}

#[test]
fn an_interrupt_waits_for_it() {
    let (model, _, cpu) = machine();
    let platform = ModelPlatform::<PlainArch>::new(model);
    let taken = Arc::new(AtomicU32::new(0));
    let count = taken.clone();
    platform.set_handler(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    cpu.stop();
    let mut targets = CpuSet::<1>::EMPTY;
    targets.insert(CpuId::new(1));
    platform.send_ipi(targets.mask());
    platform.relax();
    assert_eq!(taken.load(Ordering::Relaxed), 0);
    cpu.start();
    platform.relax();
    assert_eq!(taken.load(Ordering::Relaxed), 1);
}
