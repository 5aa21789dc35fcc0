//! Every run of small AArch64 machines: alone, and with a device behind an SMMU that is told of everything or hears the CPUs' broadcasts.

use crate::explored_kernel::{Booted, every_run};
use crate::rig::{Parts, Rig};
use crate::smmu_devices::SmmuDevices;
use tlb_shootdown::iommu::smmuv3::Completion;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

fn rig() -> Rig {
    Rig::new(Parts::new(Temper::Explored))
}

fn alone() -> Booted<Rig> {
    (rig(), None)
}

/// The device is waited for as long as it takes.
fn with_smmu(btm: bool) -> Booted<Rig> {
    let rig = rig();
    let options = SmmuOptions {
        btm,
        atc_timeout: u32::MAX,
        ..SmmuOptions::default()
    };
    let device = DeviceOptions {
        ats: true,
        ..DeviceOptions::default()
    };
    let devices = SmmuDevices::new(&rig, options, device, Completion::Poll);
    (rig, Some(Box::new(devices)))
}

every_run! {
    plain [4, 3]: alone();
    smmu [3, 2]: with_smmu(false);
    snooping_smmu [3, 2]: with_smmu(true);
}
