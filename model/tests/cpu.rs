//! The CPUs: each rule of the architecture with the defect that shows when it is broken. Operands are literals.

use tlb_shootdown::arch::aarch64::instructions::Instructions;
use tlb_shootdown_model::cpu::{CpuFeatures, CpuPort, Fault, ModelInstructions};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::{Model, Temper};

const VA: u64 = 0x40_0000;
/// ASID 5 in 63:48, VA[55:12] in 43:0.
const OPERAND: u64 = 0x0005_0000_0000_0400;

struct Rig {
    model: Model,
    cpus: [CpuPort; 2],
    tables: Tables,
    frame: u64,
    instructions: ModelInstructions,
}

impl Rig {
    fn new() -> Self {
        Self::with(CpuFeatures::default(), Temper::Late)
    }

    /// Two CPUs run one page under ASID 5; the test is CPU 0.
    fn with(features: CpuFeatures, temper: Temper) -> Self {
        let model = Model::with_cpus(&[features; 2], temper);
        let tables = model.tables();
        let frame = model.allocate(0x1000);
        let rig = Self {
            cpus: [model.cpu(0), model.cpu(1)],
            instructions: ModelInstructions::new(model.clone()),
            tables,
            frame,
            model,
        };
        rig.map(VA, Mapping::page(frame, Rights::ReadOnly));
        for cpu in &rig.cpus {
            cpu.run(rig.tables.root(), 5);
        }
        rig
    }

    fn map(&self, va: u64, mapping: Mapping) {
        self.tables.map(0, va, mapping);
        self.instructions.dsb_ishst();
        self.returned();
    }

    /// Both CPUs have the page cached read-only, and it is made writable, visibly.
    fn upgrade(&self) {
        self.touch();
        self.tables.protect(0, VA, Rights::ReadWrite);
        self.instructions.dsb_ishst();
    }

    /// Both CPUs have the page cached, and it is unmapped, visibly.
    fn unmap(&self) {
        self.touch();
        self.tables.unmap(0, VA);
        self.instructions.dsb_ishst();
    }

    fn touch(&self) {
        for cpu in &self.cpus {
            cpu.read(VA).unwrap();
        }
    }

    fn reads(&self) -> [bool; 2] {
        [0, 1].map(|cpu: usize| self.cpus[cpu].read(VA).is_ok())
    }

    fn returned(&self) {
        self.model.returned(self.tables.root(), 0, u64::MAX);
    }
}

#[test]
fn a_cached_right_makes_a_cpu_fault_until_the_invalidation() {
    let rig = Rig::new();
    rig.upgrade();
    for cpu in &rig.cpus {
        assert_eq!(cpu.write(VA, 1), Err(Fault::Permission));
        assert_eq!(cpu.write(VA, 1), Err(Fault::Permission));
    }
    rig.instructions.tlbi_vale1is(OPERAND);
    rig.instructions.dsb_ish();
    rig.returned();
    for cpu in &rig.cpus {
        assert_eq!(cpu.write(VA, 1), Ok(()));
    }
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn an_invalidation_is_in_flight_until_the_barrier_of_its_own_cpu() {
    let rig = Rig::new();
    rig.unmap();
    rig.instructions.tlbi_vale1is(OPERAND);
    assert_eq!(rig.reads(), [true, true]);
    // Neither a barrier for stores nor one of the smaller domain completes it.
    rig.instructions.dsb_ishst();
    rig.instructions.dsb_nsh();
    assert_eq!(rig.reads(), [true, true]);
    // Nor one on another CPU.
    let there = ModelInstructions::new(rig.model.clone());
    let platform = tlb_shootdown_model::platform::ModelPlatform::<()>::new(rig.model.clone());
    platform.set_current(1);
    there.dsb_ish();
    platform.set_current(0);
    assert_eq!(rig.reads(), [true, true]);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn a_local_invalidation_reaches_no_other_cpu() {
    let rig = Rig::new();
    rig.unmap();
    rig.instructions.tlbi_vale1(OPERAND);
    rig.instructions.dsb_nsh();
    assert_eq!(rig.reads(), [false, true]);
    rig.returned();
    let holder = Holder::Cpu(1);
    assert!(
        rig.model
            .violations()
            .contains(&Violation::HeldStale { holder, va: VA })
    );
}

#[test]
fn without_the_store_barrier_a_walker_brings_the_old_entry_back() {
    let rig = Rig::new();
    rig.touch();
    rig.tables.unmap(0, VA);
    rig.instructions.tlbi_vae1is(OPERAND);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [true, true]);
    // The same with the barrier.
    rig.instructions.tlbi_vae1is(OPERAND);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn a_store_barrier_of_the_smaller_domain_does_not_order_a_broadcast() {
    let rig = Rig::new();
    rig.touch();
    rig.tables.unmap(0, VA);
    rig.instructions.dsb_nshst();
    rig.instructions.tlbi_vae1is(OPERAND);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, true]);
}

#[test]
fn a_nonshareable_store_barrier_reaches_the_own_walker_alone() {
    let rig = Rig::new();
    rig.tables.unmap(0, VA);
    rig.instructions.dsb_nshst();
    assert_eq!(rig.reads(), [false, true]);
}

#[test]
fn wrong_operands_leave_the_entry() {
    for (name, operand) in [
        ("ASID", 0x0006_0000_0000_0400),
        ("address", 0x0005_0000_0000_0401),
        ("level 2 of 4 KiB", 0x0005_6000_0000_0400),
        ("level 3 of 64 KiB", 0x0005_f000_0000_0400),
        (
            "an address that runs into the level hint",
            0x0005_ffff_ffff_f400,
        ),
    ] {
        let rig = Rig::new();
        rig.unmap();
        rig.instructions.tlbi_vale1is(operand);
        rig.instructions.dsb_ish();
        assert_eq!(rig.reads(), [true, true], "{name}");
    }
    let rig = Rig::new();
    rig.unmap();
    // Level 3 of 4 KiB.
    rig.instructions.tlbi_vale1is(0x0005_7000_0000_0400);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn a_level_hint_without_the_feature_is_reserved() {
    let features = CpuFeatures {
        ttl: false,
        ..CpuFeatures::default()
    };
    let rig = Rig::with(features, Temper::Late);
    rig.unmap();
    rig.instructions.tlbi_vale1is(0x0005_7000_0000_0400);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [true, true]);
}

#[test]
fn every_asid_forms_reach_every_asid_and_need_reserved_bits_clear() {
    let rig = Rig::new();
    rig.unmap();
    rig.instructions.tlbi_vaale1is(OPERAND);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [true, true]);
    rig.instructions.tlbi_vaale1is(0x400);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn leaf_operations_leave_the_walk_caches() {
    let rig = Rig::new();
    rig.touch();
    let table = rig.tables.unhang_table(0, VA).unwrap();
    rig.instructions.dsb_ishst();
    rig.instructions.tlbi_vale1is(OPERAND);
    rig.instructions.dsb_ish();
    rig.model.free(table);
    assert_eq!(rig.reads(), [true, true]);
    let freed = |v: &Violation| matches!(v, Violation::WalkedFreed { pa, .. } if *pa == table);
    assert!(rig.model.violations().iter().any(freed));
    rig.instructions.tlbi_vae1is(OPERAND);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn a_freed_table_at_the_hinted_level_stays_cached() {
    let rig = Rig::new();
    rig.touch();
    rig.tables.unhang_table(0, VA).unwrap();
    rig.instructions.dsb_ishst();
    // TTL says level 2, where a table hung: it is no leaf, so the hint is wrong.
    rig.instructions.tlbi_vae1is(0x0005_6000_0000_0400);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [true, true]);
}

#[test]
fn asid_operations_spare_global_entries() {
    let rig = Rig::new();
    let global = Mapping {
        global: true,
        ..Mapping::page(rig.frame, Rights::ReadOnly)
    };
    rig.map(VA, global);
    rig.unmap();
    rig.instructions.tlbi_aside1is(0x0005_0000_0000_0000);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [true, true]);
    // By address a global entry goes, whatever the ASID.
    rig.instructions.tlbi_vale1is(0x0009_0000_0000_0400);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn ranges_cover_what_they_say_and_no_more() {
    // TG = 1, SCALE = 0, NUM = 1: 4 pages from VA.
    let range = 0x0005_4080_0000_0400;
    let rig = Rig::new();
    let pages: Vec<u64> = (0..5).map(|page| VA + page * 0x1000).collect();
    for &page in &pages {
        rig.map(page, Mapping::page(rig.frame, Rights::ReadOnly));
        rig.cpus[1].read(page).unwrap();
    }
    for &page in &pages {
        rig.tables.unmap(0, page);
    }
    rig.instructions.dsb_ishst();
    rig.instructions.tlbi_rvale1is(range);
    rig.instructions.dsb_ish();
    let stale: Vec<bool> = pages
        .iter()
        .map(|&page| rig.cpus[1].read(page).is_ok())
        .collect();
    assert_eq!(stale, [false, false, false, false, true]);
}

#[test]
fn wrong_ranges_leave_the_entry() {
    for (name, operand) in [
        ("TG = 0, reserved", 0x0005_0080_0000_0400_u64),
        ("TG = 64 KiB", 0x0005_c080_0000_0400),
        ("TTL = 2", 0x0005_40c0_0000_0400),
        ("ASID", 0x0006_4080_0000_0400),
        ("base", 0x0005_4080_0000_0401),
    ] {
        let rig = Rig::new();
        rig.unmap();
        rig.instructions.tlbi_rvae1is(operand);
        rig.instructions.dsb_ish();
        assert_eq!(rig.reads(), [true, true], "{name}");
    }
}

#[test]
fn a_range_operation_without_the_feature_is_undefined() {
    let features = CpuFeatures {
        range: false,
        ..CpuFeatures::default()
    };
    let rig = Rig::with(features, Temper::Late);
    rig.instructions.tlbi_rvae1is(0x0005_4080_0000_0400);
    assert_eq!(rig.model.violations(), [Violation::Undefined { cpu: 0 }]);
}

#[test]
fn the_repeat_erratum_needs_a_second_operation_and_barrier() {
    let features = CpuFeatures {
        repeat_tlbi: true,
        ..CpuFeatures::default()
    };
    let rig = Rig::with(features, Temper::Late);
    rig.unmap();
    rig.instructions.tlbi_vale1is(OPERAND);
    rig.instructions.dsb_ish();
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [true, true]);
    rig.instructions.tlbi_vale1is(0);
    rig.instructions.dsb_ish();
    assert_eq!(rig.reads(), [false, false]);
}

#[test]
fn block_entries_go_by_any_address_in_them() {
    let rig = Rig::new();
    let block = Mapping {
        level: 2,
        ..Mapping::page(rig.model.allocate(0x20_0000), Rights::ReadOnly)
    };
    let base = 0x8000_0000;
    rig.map(base, block);
    rig.cpus[1].read(base + 0x1000).unwrap();
    rig.tables.unmap(0, base);
    rig.instructions.dsb_ishst();
    rig.instructions.tlbi_vale1is(0x0005_0000_0008_0155);
    rig.instructions.dsb_ish();
    assert_eq!(rig.cpus[1].read(base + 0x1000), Err(Fault::Translation));
}

#[test]
fn a_lazy_upgrade_is_excused_on_cpus_and_nowhere_else() {
    let rig = Rig::new();
    rig.upgrade();
    rig.returned();
    assert_eq!(rig.model.violations().len(), 2);
    rig.model.permit_lazy_upgrades(true);
    assert_eq!(rig.model.violations(), []);
    rig.tables.unmap(0, VA);
    rig.returned();
    assert_eq!(rig.model.violations().len(), 2);
}

#[test]
fn a_frame_with_another_owner_is_seen() {
    let rig = Rig::new();
    rig.unmap();
    let (holder, pa) = (Holder::Cpu(0), rig.frame);
    rig.model.free(pa);
    let early = Violation::FreedWhileHeld { holder, pa };
    assert_eq!(rig.model.violations(), [early]);
    assert_eq!(rig.model.allocate(0x1000), rig.frame);
    assert_eq!(rig.model.violations(), []);
    rig.cpus[0].read(VA).unwrap();
    assert_eq!(
        rig.model.violations(),
        [Violation::UsedFreed { holder, pa }]
    );
    rig.model.free(rig.frame);
    rig.model.free(rig.frame);
    assert_eq!(rig.model.violations(), [Violation::FreedTwice { pa }]);
}

#[test]
fn a_task_that_leaves_early_is_seen() {
    let rig = Rig::new();
    rig.instructions.tlbi_vale1is(OPERAND);
    rig.cpus[0].leave();
    assert_eq!(
        rig.model.violations(),
        [Violation::MigratedIncomplete { cpu: 0 }]
    );
    rig.instructions.dsb_ish();
    rig.cpus[0].leave();
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn an_invalidation_that_is_not_pinned_is_seen() {
    let rig = Rig::new();
    let platform = tlb_shootdown_model::platform::ModelPlatform::<()>::new(rig.model.clone());
    platform.set_current(0);
    rig.instructions.tlbi_vale1is(OPERAND);
    assert_eq!(rig.model.violations(), [Violation::NotPinned { cpu: 0 }]);
}

#[test]
fn seeded_machines_fill_and_evict_unasked_and_repeatably() {
    let run = |seed| {
        let rig = Rig::with(CpuFeatures::default(), Temper::Seeded(seed));
        for page in 1..16 {
            let mapping = Mapping::page(rig.frame, Rights::ReadOnly);
            rig.tables.map(0, VA + page * 0x1000, mapping);
        }
        rig.instructions.dsb_ishst();
        let held = (0..20).map(|_| {
            rig.cpus[1].read(VA).unwrap();
            rig.cpus[1].held()
        });
        held.collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    // More than one leaf and three tables: something came in unasked.
    assert!(run(1).iter().any(|&held| held > 4));
}

#[test]
fn counts_are_of_what_was_executed() {
    let rig = Rig::new();
    rig.model.take_counts();
    rig.instructions.dsb_ishst();
    rig.instructions.tlbi_vale1is(OPERAND);
    rig.instructions.dsb_ish();
    rig.instructions.isb();
    let counts = rig.model.take_counts();
    let executed = (
        counts.store_barriers,
        counts.tlbis,
        counts.completion_barriers,
        counts.context_synchronisations,
    );
    assert_eq!(executed, (1, 1, 1, 1));
}

/// Under the erratum the second TLBI is complete by nothing, and nobody relies on it; the first is, with both barriers behind it.
#[test]
fn a_task_leaves_once_the_first_of_two_is_complete() {
    let features = CpuFeatures {
        repeat_tlbi: true,
        ..CpuFeatures::default()
    };
    for (second_barrier, expected) in [(true, vec![]), (false, vec![left()])] {
        let rig = Rig::with(features, Temper::Late);
        rig.unmap();
        rig.instructions.tlbi_vale1is(OPERAND);
        rig.instructions.dsb_ish();
        rig.instructions.tlbi_vale1is(0);
        if second_barrier {
            rig.instructions.dsb_ish();
        }
        rig.cpus[0].leave();
        assert_eq!(rig.model.violations(), expected);
    }
}

const fn left() -> Violation {
    Violation::MigratedIncomplete { cpu: 0 }
}
