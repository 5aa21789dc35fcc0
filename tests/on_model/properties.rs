//! Random kernels on random machines: whatever they do, in whatever order, nothing stale is used or held once a flush has
//! returned, no frame is used by a former owner, nothing is lost, and what the library says it cost is what the machine counted.

use crate::faulty::Defect;
use crate::own::{Own, ops};
use crate::random_kernel::{CPUS, Kernel, Left, Op, noticing, random_kernels};
use crate::rig::{Parts, Rig};
use crate::smmu_devices::SmmuDevices;
use proptest::prelude::*;
use tlb_shootdown::iommu::smmuv3::Completion;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::CpuFeatures;
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

/// The machine that a run is on.
#[derive(Clone, Copy, Debug)]
struct Setting {
    parts: Parts,
    smmu: SmmuOptions,
    device: DeviceOptions,
    completion: Completion,
    repairs: bool,
}

fn parts() -> impl Strategy<Value = Parts> {
    let temper = prop_oneof![
        6 => any::<u64>().prop_map(Temper::Seeded),
        1 => Just(Temper::Late),
    ];
    let flags = any::<[bool; 5]>();
    (temper, flags).prop_map(
        |(temper, [range, ttl, repeat_tlbi, kpti, wide_asids])| Parts {
            cpus: CPUS,
            features: CpuFeatures {
                range,
                ttl,
                repeat_tlbi,
                ..CpuFeatures::default()
            },
            kpti,
            wide_asids,
            ..Parts::new(temper)
        },
    )
}

fn setting() -> impl Strategy<Value = Setting> {
    let flags = any::<[bool; 5]>();
    (parts(), flags).prop_map(|(parts, [ril, msi, ats, btm, repairs])| Setting {
        parts,
        smmu: SmmuOptions {
            ril,
            btm,
            ..SmmuOptions::default()
        },
        device: DeviceOptions {
            ats,
            ..DeviceOptions::default()
        },
        completion: if msi {
            Completion::Msi
        } else {
            Completion::Poll
        },
        repairs,
    })
}

fn run(setting: Setting, left: Left, ops: &[Op<Own>]) {
    let rig = Rig::new(setting.parts);
    let devices = SmmuDevices::new(&rig, setting.smmu, setting.device, setting.completion);
    let kernel = Kernel::with_devices(rig, Box::new(devices), setting.repairs);
    kernel.leaving_out(left).run(ops);
}

#[test]
fn promise_03_nothing_stale_is_used_or_held_after_any_flush() {
    random_kernels(setting(), ops(), |setting, ops| {
        run(setting, Left::Nothing, ops);
    });
}

/// Whether random kernels notice this defect, or what is left out.
fn is_noticed(defect: Defect, left: Left) -> bool {
    noticing(400, (setting(), ops()), |(mut setting, ops)| {
        setting.parts.defect = defect;
        run(setting, left, &ops);
    })
}

#[test]
fn random_kernels_notice_every_defect() {
    for defect in [
        Defect::NoStoreBarrier,
        Defect::NoCompletion,
        Defect::WrongAsid,
        Defect::WrongAddress,
        Defect::LeafOnly,
        Defect::Local,
        Defect::ShortRange,
        Defect::WrongLevel,
        Defect::NoRepeat,
    ] {
        assert!(is_noticed(defect, Left::Nothing), "{defect:?}");
    }
    assert!(!is_noticed(Defect::None, Left::Nothing));
}

/// Each thing that a kernel must do is missed when it is left out.
#[test]
fn random_kernels_notice_what_is_left_out() {
    for left in [Left::Flushes, Left::PendingFlushes, Left::FlushesBeforeIo] {
        assert!(is_noticed(Defect::None, left), "{left:?}");
    }
}
