//! The repeated TLBI: which CPUs ask for it, and where it stands.

use crate::common::*;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::aarch64::Config;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::{Arch, Half, Reach};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;

fn of(midr: u64) -> Identification {
    Identification {
        midr,
        ..Identification::FULL
    }
}

fn machine_of(midr: u64) -> Machine {
    machine(Config::new(Granule::Kib4), of(midr))
}

fn completion(machine: &Machine, reach: Reach) -> Vec<Executed> {
    complete(machine, Half::User, reach, &mut Cost::default());
    machine.instructions().take()
}

/// MIDR_EL1 is implementer\[31:24\], variant\[23:20\], 0xf, part\[15:4\], revision\[3:0\]. Sources:
/// Linux' `cputype.h` and LLVM's `TargetParser/Host.cpp` (the former alone for Cobalt, Kryo and Falkor v1); the revisions from
/// Linux' `arm64_repeat_tlbi_list`.
const AFFECTED: &[(&str, u64)] = &[
    ("Cortex-A55 r0p0", 0x410f_d050),
    ("Cortex-A55 r2p0", 0x412f_d050),
    ("Cortex-A55 r2p1", 0x412f_d051),
    ("Cortex-A510 r0p0, first", 0x410f_d460),
    ("Cortex-A510 r1p1, last", 0x411f_d461),
    ("Cortex-A76 r0p0", 0x410f_d0b0),
    ("Cortex-A76 r4p1", 0x414f_d0b1),
    ("Cortex-A76AE", 0x411f_d0e0),
    ("Cortex-A77", 0x411f_d0d1),
    ("Cortex-A78", 0x411f_d412),
    ("Cortex-A78AE", 0x410f_d423),
    ("Cortex-A78C", 0x410f_d4b2),
    ("Cortex-A710", 0x412f_d471),
    ("Cortex-X1", 0x411f_d442),
    ("Cortex-X1C", 0x410f_d4c2),
    ("Cortex-X2", 0x412f_d481),
    ("Cortex-X3", 0x411f_d4e2),
    ("Cortex-X4", 0x410f_d823),
    ("Cortex-X925", 0x410f_d851),
    ("Neoverse-N1 r3p1", 0x413f_d0c1),
    ("Neoverse-N2", 0x410f_d493),
    ("Neoverse-V1", 0x411f_d402),
    ("Neoverse-V2", 0x410f_d4f2),
    ("Neoverse-V3", 0x410f_d842),
    ("Neoverse-V3AE", 0x410f_d832),
    ("C1-Ultra", 0x411f_d8c0),
    ("C1-Premium", 0x411f_d900),
    ("NVIDIA Olympus", 0x4e0f_0100),
    ("Microsoft Azure Cobalt 100", 0x6d0f_d490),
    ("Falkor v1 r0p0", 0x510f_8000),
    ("Kryo", 0x511f_2050),
    ("Kryo, another part of the family", 0x511f_2110),
    ("Kryo 4xx Gold rcpe, first", 0x51cf_804e),
    ("Kryo 4xx Gold rfpe, last", 0x51ff_804e),
];

const UNAFFECTED: &[(&str, u64)] = &[
    ("Cortex-A53", 0x410f_d034),
    ("Cortex-A57", 0x411f_d070),
    ("Cortex-A72", 0x410f_d083),
    ("Cortex-A510 r1p2", 0x411f_d462),
    ("Cortex-A715", 0x411f_d4d0),
    ("C1-Pro", 0x411f_d8b0),
    ("Falkor v1 r0p1", 0x510f_8001),
    ("Kryo 4xx Gold rcpd", 0x51cf_804d),
    ("Kryo 4xx Gold rfpf", 0x51ff_804f),
    ("A part 0xd0b of another implementer", 0x420f_d0b0),
];

#[test]
fn promise_03_affected_cpus_repeat_once_per_completion() {
    for &(name, midr) in AFFECTED {
        assert_eq!(
            completion(&machine_of(midr), Reach::Broadcast),
            [bare("dsb ish"), on("tlbi vale1is", 0), bare("dsb ish")],
            "{name}"
        );
    }
}

#[test]
fn promise_12_other_cpus_do_not_repeat() {
    for &(name, midr) in UNAFFECTED {
        assert_eq!(
            completion(&machine_of(midr), Reach::Broadcast),
            [bare("dsb ish")],
            "{name}"
        );
    }
}

/// The erratum is one of broadcast completion.
#[test]
fn promise_12_local_completion_does_not_repeat() {
    assert_eq!(
        completion(&machine_of(0x412f_d050), Reach::Local),
        [bare("dsb nsh")]
    );
}

#[test]
fn promise_03_repeat_comes_before_the_isb() {
    let range = pages(0xffff_8000_0000_0000, 0x2000, PageSize::KIB_4);
    let (executed, _) = flush_kernel(&machine_of(0x412f_d050), &range, LEAF, Reach::Broadcast);
    let names: Vec<_> = executed.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "dsb ishst",
            "tlbi rvaale1is",
            "dsb ish",
            "tlbi vale1is",
            "dsb ish",
            "isb"
        ]
    );
}

/// One affected CPU, even a late one, makes all repeat.
#[test]
fn promise_02_errata_are_the_union_and_reach_late_cpus() {
    let machine = machine_of(0x411f_d070);
    assert_eq!(completion(&machine, Reach::Broadcast).len(), 1);
    machine.instructions().identify_as(of(0x412f_d050));
    machine.join(CpuId::new(1)).expect("a late CPU");
    // Its own barrier, before any walk that a flush may be about.
    assert_eq!(machine.instructions().take(), [bare("dsb ish")]);
    machine.instructions().identify_as(of(0x411f_d070));
    machine
        .join(CpuId::new(2))
        .expect("a CPU without the erratum");
    machine.instructions().take();
    assert_eq!(completion(&machine, Reach::Broadcast).len(), 3);
}
