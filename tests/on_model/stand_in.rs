//! What no emulator shows: each defect of a wrong library seen on the machine, and gone with the right one.

use crate::faulty::Defect;
use crate::rig::{Parts, Process, Rig};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::{CpuFeatures, Fault};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

const VA: u64 = 0x40_0000;
const PAGES: u64 = 6;

/// Two CPUs run a process of six read-only pages, and both have cached all of them.
fn cached(parts: Parts) -> (Rig, Process) {
    let rig = Rig::new(parts);
    let process = rig.process();
    for page in pages() {
        let frame = rig.model.allocate(0x1000);
        let mapping = Mapping::page(frame, Rights::ReadOnly);
        process.tables.map(0, page, mapping);
    }
    for cpu in 0..parts.cpus {
        rig.switch(cpu, &process);
    }
    rig.publish();
    for page in pages() {
        for cpu in 0..parts.cpus {
            rig.cpu(cpu).read(page).unwrap();
        }
    }
    rig.returned(&process);
    assert_eq!(rig.model.violations(), []);
    (rig, process)
}

fn pages() -> impl Iterator<Item = u64> {
    (0..PAGES).map(|page| VA + page * 0x1000)
}

fn with(defect: Defect) -> Parts {
    Parts {
        defect,
        ..Parts::new(Temper::Late)
    }
}

/// Unmaps the first page and flushes it; which of the two CPUs still reads it.
fn unmap_one(parts: Parts) -> [bool; 2] {
    let (rig, process) = cached(parts);
    process.tables.unmap(0, VA);
    rig.engine
        .flush_page(process.space, VirtAddr::new(VA), PageSize::KIB_4)
        .unwrap();
    [0, 1].map(|cpu| rig.cpu(cpu).read(VA).is_ok())
}

/// Unmaps all pages and flushes `flush`; how many of them the other CPU still reads.
fn unmap_all(parts: Parts, flush: Flush) -> usize {
    let (rig, process) = cached(parts);
    for page in pages() {
        process.tables.unmap(0, page);
    }
    rig.engine.flush(process.space, flush).unwrap();
    pages()
        .filter(|&page| rig.cpu(1).read(page).is_ok())
        .count()
}

fn range() -> PageRange {
    PageRange::from_len(VirtAddr::new(VA), PAGES * 0x1000, PageSize::KIB_4).unwrap()
}

fn leaves() -> Flush {
    Flush::pages(range()).leaf_only().leaf_size(PageSize::KIB_4)
}

/// Upgrades the first page with or without telling anybody; what a write of `cpu` then gives.
fn upgrade(told: bool, cpu: usize) -> Result<(), Fault> {
    let (rig, process) = cached(Parts::new(Temper::Late));
    process.tables.protect(0, VA, Rights::ReadWrite);
    if told {
        let page = Flush::page(VirtAddr::new(VA), PageSize::KIB_4);
        rig.engine.flush_upgrade(process.space, page).unwrap();
    }
    rig.cpu(cpu).write(VA, 1)
}

#[test]
fn promise_09_upgrade_left_out_faults_on_this_cpu() {
    assert_eq!(upgrade(false, 0), Err(Fault::Permission));
    assert_eq!(upgrade(true, 0), Ok(()));
}

#[test]
fn promise_09_upgrade_left_out_faults_on_another_cpu() {
    assert_eq!(upgrade(false, 1), Err(Fault::Permission));
    assert_eq!(upgrade(true, 1), Ok(()));
}

#[test]
fn promise_09_a_lazy_upgrade_is_repaired_by_the_fault_handler() {
    let (rig, process) = cached(Parts::new(Temper::Late));
    rig.platform.set_repairs_spurious_faults(true);
    process.tables.protect(0, VA, Rights::ReadWrite);
    let page = Flush::page(VirtAddr::new(VA), PageSize::KIB_4);
    rig.engine.flush_upgrade(process.space, page).unwrap();
    rig.returned(&process);
    assert_eq!(rig.cpu(0).write(VA, 1), Ok(()));
    assert_eq!(rig.cpu(1).write(VA, 1), Err(Fault::Permission));
    rig.platform.set_current(1);
    rig.engine
        .fix_spurious_fault(process.space, VirtAddr::new(VA), PageSize::KIB_4)
        .unwrap();
    assert_eq!(rig.cpu(1).write(VA, 1), Ok(()));
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn promise_03_a_wrong_asid_leaves_both_cpus_stale() {
    assert_eq!(unmap_one(with(Defect::WrongAsid)), [true, true]);
    assert_eq!(unmap_one(with(Defect::None)), [false, false]);
    assert_eq!(unmap_all(with(Defect::WrongAsid), leaves()), 6);
    assert_eq!(unmap_all(with(Defect::WrongAsid), Flush::all()), 6);
    assert_eq!(unmap_all(with(Defect::None), Flush::all()), 0);
}

#[test]
fn promise_03_a_wrong_address_leaves_both_cpus_stale() {
    assert_eq!(unmap_one(with(Defect::WrongAddress)), [true, true]);
}

#[test]
fn promise_03_a_missing_completion_leaves_both_cpus_stale() {
    assert_eq!(unmap_one(with(Defect::NoCompletion)), [true, true]);
}

#[test]
fn promise_03_a_local_flush_leaves_the_other_cpu_stale() {
    assert_eq!(unmap_one(with(Defect::Local)), [false, true]);
}

#[test]
fn promise_01_a_missing_store_barrier_brings_the_old_entry_back() {
    assert_eq!(unmap_one(with(Defect::NoStoreBarrier)), [true, true]);
}

#[test]
fn promise_08_a_wrong_level_hint_leaves_both_cpus_stale() {
    assert_eq!(unmap_one(with(Defect::WrongLevel)), [true, true]);
}

#[test]
fn promise_03_a_range_too_short_leaves_its_end_stale() {
    assert_eq!(unmap_all(with(Defect::ShortRange), leaves()), 2);
    assert_eq!(unmap_all(with(Defect::None), leaves()), 0);
}

#[test]
fn promise_08_a_freed_table_stays_in_walk_caches_without_the_deep_form() {
    let walks = |defect| {
        let (rig, process) = cached(with(defect));
        let table = process.tables.unhang_table(0, VA).unwrap();
        let flush = Flush::pages(range());
        rig.engine.flush(process.space, flush).unwrap();
        rig.model.free(table);
        [0, 1].map(|cpu| rig.cpu(cpu).read(VA).is_ok())
    };
    assert_eq!(walks(Defect::LeafOnly), [true, true]);
    assert_eq!(walks(Defect::None), [false, false]);
}

#[test]
fn promise_03_global_entries_survive_an_operation_by_asid() {
    let survives = |defect| {
        let rig = Rig::new(with(defect));
        let process = rig.process();
        let global = Mapping {
            global: true,
            ..Mapping::page(rig.model.allocate(0x1000), Rights::ReadOnly)
        };
        process.tables.map(0, VA, global);
        rig.switch(0, &process);
        rig.switch(1, &process);
        rig.cpu(1).read(VA).unwrap();
        process.tables.unmap(0, VA);
        rig.engine
            .flush_page(process.space, VirtAddr::new(VA), PageSize::KIB_4)
            .unwrap();
        rig.cpu(1).read(VA).is_ok()
    };
    assert!(survives(Defect::ByAsid));
    assert!(!survives(Defect::None));
}

#[test]
fn promise_03_the_repeat_erratum_needs_its_second_completion() {
    let erratum = |defect| Parts {
        features: CpuFeatures {
            repeat_tlbi: true,
            ..CpuFeatures::default()
        },
        ..with(defect)
    };
    assert_eq!(unmap_one(erratum(Defect::NoRepeat)), [true, true]);
    assert_eq!(unmap_one(erratum(Defect::None)), [false, false]);
}

#[test]
fn promise_03_with_kpti_the_odd_asid_is_flushed_too() {
    let (rig, process) = cached(Parts {
        kpti: true,
        ..with(Defect::None)
    });
    // CPU 1 runs user code: the odd ASID of the pair.
    let id = rig.switch(1, &process);
    let odd = tlb_shootdown::arch::aarch64::odd_asid(id);
    rig.cpu(1).run(process.tables.root(), odd.0 as u16);
    rig.cpu(1).read(VA).unwrap();
    process.tables.unmap(0, VA);
    rig.engine
        .flush_page(process.space, VirtAddr::new(VA), PageSize::KIB_4)
        .unwrap();
    rig.returned(&process);
    assert!(rig.cpu(1).read(VA).is_err());
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn promise_02_a_space_run_by_one_cpu_alone_is_flushed_there() {
    let parts = Parts::new(Temper::Late);
    let rig = Rig::new(parts);
    let process = rig.process();
    let frame = rig.model.allocate(0x1000);
    process
        .tables
        .map(0, VA, Mapping::page(frame, Rights::ReadOnly));
    rig.switch(0, &process);
    rig.cpu(0).read(VA).unwrap();
    process.tables.unmap(0, VA);
    rig.model.take_counts();
    let cost = rig
        .engine
        .flush_page(process.space, VirtAddr::new(VA), PageSize::KIB_4)
        .unwrap();
    rig.returned(&process);
    assert!(rig.cpu(0).read(VA).is_err());
    assert_eq!(rig.model.violations(), []);
    let counts = rig.model.take_counts();
    assert_eq!(
        (
            counts.store_barriers,
            counts.tlbis,
            counts.completion_barriers
        ),
        (
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers
        )
    );
}

#[test]
fn promise_07_an_asid_is_clean_when_it_comes_round_again() {
    // 8-bit ASIDs: the 256th space meets the first one's number.
    let (rig, first) = cached(Parts {
        wide_asids: false,
        ..Parts::new(Temper::Late)
    });
    let id = rig.switch(0, &first);
    let other = rig.process();
    rig.switch(0, &other);
    rig.switch(1, &other);
    let again = (0..600).find_map(|_| {
        let process = rig.process();
        let next = rig.switch(0, &process);
        (next.0 == id.0).then_some(process)
    });
    let again = again.expect("numbers come round");
    assert_eq!(rig.switch(1, &again).0, id.0);
    for cpu in [0, 1] {
        assert_eq!(rig.cpu(cpu).read(VA), Err(Fault::Translation));
    }
    // The first space, back under another number, has lost nothing.
    assert_ne!(rig.switch(1, &first).0, id.0);
    assert!(rig.cpu(1).read(VA).is_ok());
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn promise_10_a_retired_space_is_gone_from_every_cpu() {
    let (rig, process) = cached(Parts::new(Temper::Late));
    let ticket = rig.engine.retire(process.space).unwrap();
    ticket.wait().unwrap();
    rig.returned(&process);
    rig.model.free(process.tables.root());
    // Every entry that were still held would now be stale.
    assert_eq!(rig.model.violations(), []);
    for cpu in [0, 1] {
        assert_eq!(rig.cpu(cpu).read(VA), Err(Fault::Translation));
    }
}
