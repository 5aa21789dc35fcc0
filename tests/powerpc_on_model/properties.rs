//! Random kernels on random machines: whatever they do, in whatever order, nothing stale is used or held once a flush has returned, no
//! frame is used by a former owner, and what the library says it cost is what the machine counted.

use crate::faulty::Defect;
use crate::own::{Own, ops};
use crate::random_kernel::{CPUS, Kernel, Op, noticing, random_kernels};
use crate::rig::{Parts, Rig};
use proptest::prelude::*;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, Role};

/// The machine that a run is on.
#[derive(Clone, Copy, Debug)]
struct Setting {
    parts: Parts,
    repairs: bool,
}

const ROLES: [Role; 3] = [Role::Hypervisor, Role::Guest, Role::GuestWithoutTlbie];

fn setting(cpus: &'static [CpuFeatures], roles: &'static [Role]) -> impl Strategy<Value = Setting> {
    let temper = prop_oneof![
        6 => any::<u64>().prop_map(Temper::Seeded),
        1 => Just(Temper::Late),
    ];
    let features = (
        prop::sample::select(cpus),
        prop::sample::select(roles),
        any::<bool>(),
    );
    let ceiling = || prop::sample::select(vec![0, 2, 33, 100]);
    let ceilings = (ceiling(), ceiling());
    let asking = (1..3_u64, prop::sample::select(vec![0, 0, 3, 30]));
    (temper, features, ceilings, asking, any::<bool>()).prop_map(
        |(temper, (features, role, pages_64k), ceilings, (patience, delay), repairs)| {
            let features = CpuFeatures {
                pages_64k,
                ..features.as_a(role)
            };
            Setting {
                parts: Parts {
                    cpus: CPUS,
                    ceilings,
                    patience,
                    delay,
                    ..Parts::new(features, temper)
                },
                repairs,
            }
        },
    )
}

fn run(setting: Setting, ops: &[Op<Own>]) {
    Kernel::new(Rig::new(setting.parts), setting.repairs).run(ops);
}

#[test]
fn promise_03_nothing_stale_on_power9() {
    let setting = setting(&[CpuFeatures::POWER9], &ROLES);
    random_kernels(setting, ops(false), run);
}

#[test]
fn promise_03_nothing_stale_on_power10() {
    let setting = setting(&[CpuFeatures::POWER10], &ROLES);
    random_kernels(setting, ops(false), run);
}

/// Whether random kernels on such machines notice this defect.
fn is_noticed(defect: Defect, cpus: &'static [CpuFeatures], roles: &'static [Role]) -> bool {
    let inputs = (setting(cpus, roles), ops(false));
    noticing(600, inputs, |(mut setting, ops)| {
        setting.parts.defect = defect;
        run(setting, &ops);
    })
}

#[test]
fn random_kernels_notice_every_defect_of_broadcasts() {
    for defect in [
        Defect::NoStoreBarrier,
        Defect::NoEieio,
        Defect::NoTlbsync,
        Defect::NoCompletion,
        Defect::NoTlbie,
        Defect::WrongPage,
        Defect::WrongSize,
        Defect::NoLargePage,
        Defect::WrongPid,
        Defect::KeepsWalkCaches,
        Defect::KeepsProcessTable,
    ] {
        let roles = &ROLES[..2];
        assert!(
            is_noticed(defect, &[CpuFeatures::POWER10], roles),
            "{defect:?}"
        );
    }
}

#[test]
fn random_kernels_notice_every_defect_of_one_cpu() {
    for defect in [
        Defect::NoTlbiel,
        Defect::NoSlbia,
        Defect::NoIsync,
        Defect::NoCpAbort,
    ] {
        let roles = &ROLES;
        assert!(
            is_noticed(defect, &[CpuFeatures::POWER10], roles),
            "{defect:?}"
        );
    }
    for defect in [Defect::OneSet, Defect::NoEratRepair, Defect::NoQueueRepair] {
        let roles = &ROLES[..2];
        assert!(
            is_noticed(defect, &[CpuFeatures::POWER9], roles),
            "{defect:?}"
        );
    }
}
