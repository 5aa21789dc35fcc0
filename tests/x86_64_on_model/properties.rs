//! Random kernels on random machines: whatever they do, in whatever order, nothing stale is used once a flush has returned, nor held
//! under an identifier that is loaded, no frame is used by a former owner, and what the library says it cost is what the
//! machine counted.

use crate::faulty::Defect;
use crate::own::{Own, ops};
use crate::random_kernel::{CPUS, Kernel, Op, noticing, random_kernels};
use crate::rig::{Parts, Rig};
use proptest::prelude::*;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::x86_64::CpuFeatures;

/// The machine that a run is on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) parts: Parts,
    pub(crate) repairs: bool,
}

/// Which CPUs a run is on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Without PCIDs.
    Untagged,
    /// Without INVPCID.
    NoInvpcid,
    Plain,
    Broadcasts,
}

impl Kind {
    const fn features(self) -> CpuFeatures {
        match self {
            Self::Untagged => CpuFeatures {
                pcid: false,
                ..CpuFeatures::PLAIN
            },
            Self::NoInvpcid => CpuFeatures {
                invpcid: false,
                ..CpuFeatures::PLAIN
            },
            Self::Plain => CpuFeatures::PLAIN,
            Self::Broadcasts => CpuFeatures::BROADCASTS,
        }
    }
}

pub(crate) fn setting(
    kinds: &'static [Kind],
    kpti: impl Strategy<Value = bool>,
) -> impl Strategy<Value = Setting> {
    let temper = prop_oneof![
        6 => any::<u64>().prop_map(Temper::Seeded),
        1 => Just(Temper::Late),
    ];
    let kind = prop::sample::select(kinds);
    let numbers = (1..4_usize, prop::sample::select(vec![0, 2, 33]));
    (temper, kind, kpti, numbers, any::<bool>()).prop_map(
        |(temper, kind, kpti, (slots, ceiling), repairs)| Setting {
            parts: Parts {
                cpus: CPUS,
                kpti,
                slots,
                ceiling,
                ..Parts::new(kind.features(), temper)
            },
            repairs,
        },
    )
}

fn run(setting: Setting, ops: &[Op<Own>]) {
    Kernel::new(Rig::new(setting.parts), setting.repairs).run(ops);
}

pub(crate) const ALL: &[Kind] = &[
    Kind::Untagged,
    Kind::NoInvpcid,
    Kind::Plain,
    Kind::Broadcasts,
];

#[test]
fn promise_03_nothing_stale_is_used_or_held_after_any_flush() {
    random_kernels(setting(ALL, any::<bool>()), ops(false), run);
}

#[test]
fn promise_03_nothing_stale_while_spaces_are_promoted() {
    let setting = setting(&[Kind::Broadcasts], Just(false));
    random_kernels(setting, ops(false), run);
}

/// Whether random kernels on such machines notice this defect.
fn is_noticed(defect: Defect, kinds: &'static [Kind], kpti: bool) -> bool {
    let inputs = (setting(kinds, Just(kpti)), ops(false));
    noticing(1500, inputs, |(mut setting, ops)| {
        setting.parts.defect = defect;
        run(setting, &ops);
    })
}

#[test]
fn random_kernels_notice_every_defect_of_one_cpu() {
    for defect in [
        Defect::NoStoreBarrier,
        Defect::NoPage,
        Defect::WrongPage,
        Defect::NoInvpcid,
        Defect::KeepsGlobals,
        Defect::KeepsSpace,
        Defect::KernelKeeps,
    ] {
        assert!(is_noticed(defect, &[Kind::Plain], false), "{defect:?}");
    }
    assert!(is_noticed(Defect::NoToggle, &[Kind::NoInvpcid], false));
}

#[test]
fn random_kernels_notice_every_defect_of_kpti() {
    for defect in [Defect::WrongPcid, Defect::ExitKeeps] {
        assert!(is_noticed(defect, &[Kind::Plain], true), "{defect:?}");
    }
}

#[test]
fn random_kernels_notice_every_defect_of_broadcasts() {
    for defect in [
        Defect::NoBroadcast,
        Defect::WrongBroadcast,
        Defect::ShortBroadcast,
        Defect::FinalOnly,
        Defect::BroadcastKeepsGlobals,
        Defect::NoAsid,
        Defect::NoSync,
    ] {
        assert!(is_noticed(defect, &[Kind::Broadcasts], false), "{defect:?}");
    }
}
