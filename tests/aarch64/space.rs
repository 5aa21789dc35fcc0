//! Whole address spaces, everything, and the context switch.

use crate::common::*;
use tlb_shootdown::arch::aarch64::Config;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::{Arch, Half, HardwareId, Reach};
use tlb_shootdown::cost::Cost;

fn flush_space(machine: &Machine, asid: u64, reach: Reach) -> Vec<Executed> {
    let mut cost = Cost::ZERO;
    machine.store_barrier(reach, &mut cost);
    machine.flush_tlb_space(HardwareId(asid), reach, &mut cost);
    complete(machine, Half::User, reach, &mut cost);
    machine.instructions().take()
}

/// No ISB: the exception return to the process synchronises.
#[test]
fn promise_01_space_is_one_tlbi_by_asid() {
    assert_eq!(
        flush_space(&full(), 5, Reach::Broadcast),
        [
            bare("dsb ishst"),
            on("tlbi aside1is", 0x0005_0000_0000_0000),
            bare("dsb ish")
        ]
    );
    assert_eq!(
        flush_space(&full(), 5, Reach::Local),
        [
            bare("dsb nshst"),
            on("tlbi aside1", 0x0005_0000_0000_0000),
            bare("dsb nsh")
        ]
    );
}

#[test]
fn promise_03_space_under_kpti_is_both_asids() {
    let machine = machine(Config::new(Granule::Kib4).kpti(), Identification::FULL);
    assert_eq!(
        tlbis(&flush_space(&machine, 6, Reach::Broadcast)),
        [
            on("tlbi aside1is", 0x0006_0000_0000_0000),
            on("tlbi aside1is", 0x0007_0000_0000_0000),
        ]
    );
}

/// Every ASID at once needs no pair.
#[test]
fn promise_03_everything_is_one_tlbi_and_an_isb() {
    let machine = machine(Config::new(Granule::Kib4).kpti(), Identification::FULL);
    let cases = [
        (Reach::Broadcast, ["dsb ishst", "tlbi vmalle1is", "dsb ish"]),
        (Reach::Local, ["dsb nshst", "tlbi vmalle1", "dsb nsh"]),
    ];
    for (reach, names) in cases {
        let mut cost = Cost::ZERO;
        machine.store_barrier(reach, &mut cost);
        machine.flush_tlb_all(reach, &mut cost);
        complete(&machine, Half::Kernel, reach, &mut cost);
        let [first, second, third] = names.map(bare);
        assert_eq!(
            machine.instructions().take(),
            [first, second, third, bare("isb")]
        );
        assert_eq!(cost.invalidations, 1);
    }
}

/// Arm ARM D8.17: only a DSB of the CPU that issued a TLBI completes it.
#[test]
fn promise_03_migration_completes_what_the_task_issued() {
    let machine = full();
    let mut cost = Cost::ZERO;
    machine.before_migration(&mut cost);
    assert_eq!(machine.instructions().take(), [bare("dsb ish")]);
    assert_eq!(cost.completion_barriers, 1);
}
