//! CPUs that join: which are known, and which go together.

use crate::common::*;
use tlb_shootdown::arch::powerpc::{Config, Isa, PowerPc};
use tlb_shootdown::arch::{Arch as _, JoinError};
use tlb_shootdown::cpu_set::CpuId;

fn join(config: Config, pvrs: &[u32]) -> (Arch, Result<(), JoinError>) {
    let arch = PowerPc::new(Recorder::new(0), config);
    let mut joined = Ok(());
    for (cpu, pvr) in (0..).zip(pvrs) {
        arch.instructions().identify_as(*pvr);
        joined = joined.and(arch.join(CpuId::new(cpu)));
    }
    (arch, joined)
}

#[test]
fn level_is_told_by_the_pvr() {
    for (pvr, isa) in [
        (POWER9, Isa::V3_0),
        (POWER10, Isa::V3_1),
        (0x0082_0100, Isa::V3_1),
    ] {
        let (arch, joined) = join(Config::hypervisor(), &[pvr]);
        assert_eq!((arch.isa(), joined), (isa, Ok(())), "{pvr:#x}");
    }
}

/// POWER8 has no radix translation; of what comes later nothing is known. Neither runs.
#[test]
fn unknown_pvr_is_refused_by_name() {
    for pvr in [0x004d_0200, 0x0083_0100, 0, u32::MAX] {
        let (_, joined) = join(Config::hypervisor(), &[pvr]);
        assert_eq!(joined, Err(JoinError::UnsupportedCpu(pvr)));
    }
    assert!(
        JoinError::UnsupportedCpu(0x0083_0100)
            .to_string()
            .contains("0x830100")
    );
}

/// The kernel knows better: a compatibility mode, or a CPU newer than the crate.
#[test]
fn stated_level_goes_before_the_pvr() {
    let (arch, joined) = join(Config::guest().isa(Isa::V3_0), &[POWER10]);
    assert_eq!((arch.isa(), joined), (Isa::V3_0, Ok(())));
    let (arch, joined) = join(Config::hypervisor().isa(Isa::V3_2), &[0x0083_0100]);
    assert_eq!((arch.isa(), joined), (Isa::V3_2, Ok(())));
}

/// COPY is gone in ISA 3.2, and `cp_abort` with it.
#[test]
fn promise_03_isa_3_2_is_not_told_to_abort() {
    let world = World::new(Config::hypervisor().isa(Isa::V3_2), POWER10, 1);
    let space = alone(&world);
    assert_eq!(
        world.flush(&space, page(0x5000)).0,
        [PTESYNC, tlbiel(0x5000, PID_1), PTESYNC]
    );
}

#[test]
fn cpus_of_different_levels_do_not_go_together() {
    for pvrs in [[POWER9, POWER10], [POWER10, POWER9]] {
        let (_, joined) = join(Config::hypervisor(), &pvrs);
        let refused = JoinError::MissingFeature("the ISA level of the other CPUs");
        assert_eq!(joined, Err(refused));
    }
}

#[test]
fn cpu_beyond_the_capacity_is_refused() {
    let arch = PowerPc::<_, 1>::new(Recorder::new(POWER10), Config::hypervisor());
    assert_eq!(arch.join(CpuId::new(64)), Err(JoinError::UnknownCpu));
}

/// Walks of a CPU begin after the barrier behind its announcement.
#[test]
fn promise_02_joining_ends_in_a_barrier() {
    let (arch, _) = join(Config::hypervisor(), &[POWER9]);
    assert_eq!(arch.instructions().take(), [PTESYNC]);
}
