//! Random kernels whose processes share their tables with devices, behind a VT-d unit or an AMD IOMMU: whatever they do, nothing stale
//! is used or held by a CPU or a device once a flush has returned, no frame is used by a former owner, nothing is lost, and the figures
//! of both sides are the machine's.

use crate::amd::AmdDevices;
use crate::own::{Own, ops};
use crate::properties::{ALL, Setting, setting};
use crate::random_kernel::{Devices, Kernel, Left, Op, noticing, random_kernels};
use crate::rig::Rig;
use crate::vtd::{VtdDevices, units};
use proptest::prelude::*;

/// Which devices there are.
#[derive(Clone, Copy, Debug)]
enum Behind {
    Vtd { unit: usize, told_at_once: bool },
    Amd { restless: bool },
}

fn vtd() -> impl Strategy<Value = Behind> {
    let units = 0..units().len();
    (units, any::<bool>()).prop_map(|(unit, told_at_once)| Behind::Vtd { unit, told_at_once })
}

fn amd() -> impl Strategy<Value = Behind> {
    any::<bool>().prop_map(|restless| Behind::Amd { restless })
}

fn run(setting: Setting, behind: Behind, left: Left, ops: &[Op<Own>]) {
    let rig = Rig::new(setting.parts);
    let devices: Box<dyn Devices<Rig>> = match behind {
        Behind::Vtd { unit, told_at_once } => {
            Box::new(VtdDevices::new(&rig, units()[unit], told_at_once))
        }
        Behind::Amd { restless } => Box::new(AmdDevices::new(&rig, restless)),
    };
    let kernel = Kernel::with_devices(rig, devices, setting.repairs);
    kernel.leaving_out(left).run(ops);
}

#[test]
fn promise_03_nothing_stale_with_a_vtd_unit() {
    let settings = (setting(ALL, any::<bool>()), vtd());
    random_kernels(settings, ops(true), |(setting, behind), ops| {
        run(setting, behind, Left::Nothing, ops);
    });
}

#[test]
fn promise_03_nothing_stale_with_an_amd_iommu() {
    let settings = (setting(ALL, any::<bool>()), amd());
    random_kernels(settings, ops(true), |(setting, behind), ops| {
        run(setting, behind, Left::Nothing, ops);
    });
}

/// Each thing that such a kernel must do is missed when it is left out.
#[test]
fn random_kernels_notice_what_is_left_out() {
    for left in [Left::Flushes, Left::PendingFlushes, Left::FlushesBeforeIo] {
        let inputs = || (setting(ALL, any::<bool>()), vtd(), ops(true));
        let with_vtd = noticing(300, inputs(), |(setting, behind, ops)| {
            run(setting, behind, left, &ops);
        });
        let inputs = (setting(ALL, any::<bool>()), amd(), ops(true));
        let with_amd = noticing(300, inputs, |(setting, behind, ops)| {
            run(setting, behind, left, &ops);
        });
        assert!(with_vtd && with_amd, "{left:?}: {with_vtd} {with_amd}");
    }
}
