//! An architecture that keeps its contract, and one broken sentence after another.

use crate::defective::Defect;
use crate::mapped::Mapped;
use crate::played::Defect as OfPlatform;
use crate::software;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::error::Refused;
use tlb_shootdown_model::conformance::{Failure, Passed, Way, Who};

const fn cpu(index: u32) -> Who {
    Who::Cpu(CpuId::new(index))
}

fn counts(passed: Passed) -> [u32; 4] {
    [passed.checks, passed.skipped, passed.controls, passed.stale]
}

#[track_caller]
fn is_stale(mapped: &Mapped, way: Way, who: Who, page: usize) {
    assert_eq!(mapped.proof(), Err(Failure::Stale { way, who, page }));
}

#[test]
fn what_keeps_the_contract_passes() {
    let passed = Mapped::new(Defect::None).proof().unwrap();
    assert_eq!(counts(passed), [30, 1, 240, 240]);
}

#[test]
fn what_repairs_spurious_faults_passes() {
    let mapped = Mapped::new(Defect::None);
    mapped.repair_spurious_faults();
    assert_eq!(counts(mapped.proof().unwrap()), [30, 1, 240, 240]);
}

#[test]
fn a_device_that_is_told_passes() {
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::None);
    assert_eq!(counts(mapped.proof().unwrap()), [28, 3, 264, 264]);
}

#[test]
fn entries_that_no_flush_reaches_are_found() {
    let found = |defect, way| is_stale(&Mapped::new(defect), way, cpu(0), 0);
    found(Defect::NoSpace, Way::Space);
    found(Defect::NoLeaves, Way::Page);
    found(Defect::KeepsTables, Way::Tables);
    found(Defect::NoKernelRange, Way::KernelRange);
    found(Defect::NoKernel, Way::Everything);
    found(Defect::DropsNothing, Way::SpuriousFault);
    found(Defect::NoTables, Way::Start);
    found(Defect::KeepsKernelTables, Way::KernelTables);
}

#[test]
fn what_lies_apart_in_one_batch_is_found() {
    is_stale(
        &Mapped::new(Defect::FirstOfSeveral),
        Way::Reclaim,
        cpu(1),
        2,
    );
}

#[test]
fn pages_behind_the_first_are_found() {
    is_stale(&Mapped::new(Defect::FirstAlone), Way::Range, cpu(0), 1);
}

#[test]
fn a_cpu_that_answers_and_does_nothing_is_found() {
    is_stale(&Mapped::new(Defect::Idle), Way::Space, cpu(1), 0);
}

#[test]
fn an_upgrade_that_nobody_repairs_is_found() {
    let mapped = Mapped::new(Defect::DropsNothing);
    mapped.repair_spurious_faults();
    is_stale(&mapped, Way::FlushUpgrade, cpu(0), 0);
}

#[test]
fn a_device_that_goes_on_using_old_entries_is_found() {
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::IgnoresUnmaps);
    is_stale(&mapped, Way::Space, Who::Device, 0);
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::IgnoresUpgrades);
    is_stale(&mapped, Way::FlushUpgrade, Who::Device, 0);
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::IgnoresNarrowing);
    is_stale(&mapped, Way::Downgrade, Who::Device, 0);
}

/// Between the two stores that the engine asks for it has walked, and found nothing.
#[test]
fn a_device_that_keeps_what_is_not_there_is_found() {
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::KeepsNothingOfUpgrades);
    is_stale(&mapped, Way::Upgrade, Who::Device, 0);
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::KeepsNothing);
    is_stale(&mapped, Way::Replace, Who::Device, 0);
}

/// Told page by page, as the batch gets them.
#[test]
fn a_device_that_forgets_a_page_of_a_batch_is_found() {
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::SkipsNeighbours);
    is_stale(&mapped, Way::Gather, Who::Device, 1);
}

#[test]
fn a_root_that_is_left_when_its_space_ends_passes() {
    let passed = Mapped::new(Defect::None).ending().unwrap();
    assert_eq!((passed.checks, passed.skipped), (1, 0));
}

#[test]
fn a_root_that_is_kept_when_its_space_ends_is_found() {
    let mapped = Mapped::with(Defect::None, OfPlatform::KeepsRoot);
    let cpu = CpuId::new(0);
    assert_eq!(mapped.ending(), Err(Failure::RootKept { cpu }));
}

#[test]
fn stores_that_nobody_sees_are_found() {
    let mut mapped = Mapped::new(Defect::None);
    mapped.stores_nothing = true;
    let unprepared = |who| Err(Failure::Unprepared { who, page: 0 });
    assert_eq!(mapped.proof(), unprepared(cpu(0)));
    // The CPU that stores sees its own stores.
    let mapped = Mapped::new(Defect::NoStoreBarrier);
    assert_eq!(mapped.proof(), unprepared(cpu(1)));
}

#[test]
fn a_flush_that_does_not_end_is_found() {
    let incomplete = |cpu| {
        let way = Way::Space;
        Err(Failure::FlushIncomplete { way, cpu })
    };
    let mapped = Mapped::new(Defect::None);
    mapped.lose_interrupts();
    assert_eq!(mapped.proof(), incomplete(Some(CpuId::new(1))));
    let mut mapped = Mapped::new(Defect::None);
    mapped.attach(software::Defect::Stalls);
    assert_eq!(mapped.proof(), incomplete(None));
}

#[test]
fn a_space_that_cannot_be_flushed_is_found() {
    let mapped = Mapped::new(Defect::None);
    mapped.retire();
    let failure = Failure::FlushRefused {
        way: Way::Space,
        refused: Refused::Retired,
    };
    assert_eq!(mapped.proof(), Err(failure));
}
