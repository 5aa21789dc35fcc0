//! Features: what all CPUs have, and what becomes of a CPU that has less.

use crate::common::*;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown::arch::{Arch, JoinError, Reach};
use tlb_shootdown::cpu_set::CpuId;

const CONFIG: Config = Config::new(Granule::Kib4).wide_asids();

fn unsealed(cpus: &[Identification]) -> Machine {
    let machine = Aarch64::new(Recorder::default(), CONFIG);
    for (index, cpu) in (0..).zip(cpus) {
        machine.instructions().identify_as(*cpu);
        machine.join(CpuId::new(index)).expect("a CPU");
    }
    machine.instructions().take();
    machine
}

fn sealed(cpus: &[Identification]) -> Machine {
    let machine = unsealed(cpus);
    machine.seal_features();
    machine
}

fn late(machine: &Machine, cpu: Identification) -> Result<(), JoinError> {
    machine.instructions().identify_as(cpu);
    machine.join(CpuId::new(9))
}

fn two_pages(machine: &Machine) -> Vec<Executed> {
    let range = pages(0x4000_0000, 0x2000, PageSize::KIB_4);
    let leaf = leaf_of(PageSize::KIB_4);
    tlbis(&flush_user(machine, 5, &range, leaf, Reach::Broadcast).0)
}

#[test]
fn promise_11_features_are_the_intersection() {
    let mixed = sealed(&[
        Identification::FULL,
        Identification::PLAIN,
        Identification::FULL,
    ]);
    assert_eq!(
        two_pages(&mixed),
        [
            on("tlbi vale1is", 0x0005_0000_0004_0000),
            on("tlbi vale1is", 0x0005_0000_0004_0001)
        ]
    );
    assert_eq!(
        two_pages(&sealed(&[Identification::FULL, Identification::FULL])),
        [on("tlbi rvale1is", 0x0005_4060_0004_0000)]
    );
}

#[test]
fn promise_03_nothing_optional_is_used_before_the_features_are_sealed() {
    let machine = unsealed(&[Identification::FULL]);
    assert_eq!(two_pages(&machine).len(), 2);
    assert_eq!(machine.asid_bits(), 8);
    assert_eq!(machine.break_before_make_level(), 0);
    late(&machine, Identification::PLAIN).expect("nothing is in use yet");
}

/// A second call takes nothing out of use: identifiers of 16 bits may be in use by then.
#[test]
fn promise_07_sealed_twice_is_sealed_once() {
    let machine = sealed(&[Identification::FULL]);
    let before = two_pages(&machine);
    machine.seal_features();
    assert_eq!(two_pages(&machine), before);
}

#[test]
fn promise_03_sealed_without_cpus_uses_nothing() {
    let machine = sealed(&[]);
    assert_eq!(two_pages(&machine).len(), 2);
    assert_eq!(machine.asid_bits(), 8);
}

/// The hint of a range is part of FEAT_TLBIRANGE, that of a page is a feature of its own: 33 pages without FEAT_TTL.
#[test]
fn promise_08_ranges_are_hinted_without_feat_ttl() {
    let no_ttl = Identification {
        mmfr2: 0,
        ..Identification::FULL
    };
    let range = pages(0x4000_0000, 33 << 12, PageSize::KIB_4);
    let leaf = leaf_of(PageSize::KIB_4);
    let (executed, _) = flush_user(&sealed(&[no_ttl]), 5, &range, leaf, Reach::Broadcast);
    assert_eq!(
        tlbis(&executed),
        [
            on("tlbi rvale1is", 0x0005_47e0_0004_0000),
            on("tlbi vale1is", 0x0005_0000_0004_0020)
        ]
    );
}

/// ISAR0.TLB\[59:56\] = 1 is the outer shareable forms alone.
#[test]
fn promise_03_outer_shareable_forms_are_not_range_forms() {
    let only_outer = Identification {
        isar0: 0x0100_0000_0000_0000,
        ..Identification::FULL
    };
    assert_eq!(two_pages(&sealed(&[only_outer])).len(), 2);
}

#[test]
fn promise_02_late_cpu_without_a_feature_in_use_is_refused() {
    let full = Identification::FULL;
    let cases = [
        (Identification { mmfr0: 0, ..full }, "16-bit ASIDs"),
        (Identification { isar0: 0, ..full }, "FEAT_TLBIRANGE"),
        (
            Identification {
                mmfr2: 0x0020_0000_0000_0000,
                ..full
            },
            "FEAT_TTL",
        ),
        (
            Identification {
                mmfr2: 0x0011_0000_0000_0000,
                ..full
            },
            "FEAT_BBM level 2",
        ),
        (
            Identification {
                mmfr2: 0x0001_0000_0000_0000,
                ..full
            },
            "FEAT_BBM level 2",
        ),
    ];
    for (cpu, lacks) in cases {
        let machine = sealed(&[full]);
        assert_eq!(late(&machine, cpu), Err(JoinError::MissingFeature(lacks)));
        // And nothing has changed for the others.
        assert_eq!(two_pages(&machine).len(), 1);
        assert_eq!(machine.asid_bits(), 16);
    }
}

#[test]
fn promise_02_late_cpu_with_more_features_is_welcome() {
    let machine = sealed(&[Identification::PLAIN]);
    late(&machine, Identification::FULL).expect("nothing is missing");
    assert_eq!(two_pages(&machine).len(), 2);
}

#[test]
fn promise_02_cpu_beyond_the_capacity_is_refused() {
    let machine = sealed(&[Identification::FULL]);
    assert_eq!(machine.join(CpuId::new(64)), Err(JoinError::UnknownCpu));
}

/// A kernel that never sets TCR_EL1.AS gets narrow ASIDs, and needs no CPU to have wide ones.
#[test]
fn promise_07_asids_stay_narrow_unless_the_kernel_widens_them() {
    let machine = machine(Config::new(Granule::Kib4), Identification::FULL);
    assert_eq!(machine.asid_bits(), 8);
    let narrow = Identification {
        mmfr0: 0,
        ..Identification::FULL
    };
    late(&machine, narrow).expect("narrow ASIDs suffice");
}

#[test]
fn break_before_make_level_is_the_lowest() {
    let level = |bits: u64| Identification {
        mmfr2: 0x0001_0000_0000_0000 | bits << 52,
        ..Identification::FULL
    };
    assert_eq!(sealed(&[level(2)]).break_before_make_level(), 2);
    assert_eq!(sealed(&[level(2), level(1)]).break_before_make_level(), 1);
    assert_eq!(sealed(&[level(1), level(0)]).break_before_make_level(), 0);
}
