//! Every run of small AArch64 machines: alone, and with a device behind an SMMU that is told of everything or hears the CPUs' broadcasts.

use crate::explored_kernel::{Booted, every_run};
use crate::random_kernel::{Half, Machine as _};
use crate::rig::{Parts, Rig};
use crate::smmu_devices::SmmuDevices;
use tlb_shootdown::iommu::smmuv3::Completion;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::memory::{Mapping, descriptor::Rights};
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

fn rig() -> Rig {
    Rig::new(Parts::new(Temper::Explored))
}

fn alone() -> Booted<Rig> {
    (rig(), None)
}

/// The process has the last ASID that there is: who runs next begins anew with the first, under which CPU 1 holds something.
fn with_the_last_asid() -> Booted<Rig> {
    let rig = Rig::new(Parts {
        wide_asids: false,
        ..Parts::new(Temper::Explored)
    });
    let va = rig.layout().address(Half::User(0), 0);
    let first = rig.process();
    let page = Mapping::page(rig.model.allocate(0x1000), Rights::ReadWrite);
    first.tables.map(0, va, page);
    rig.publish();
    rig.switch(1, &first);
    rig.cpu(1).read(va).unwrap();
    for _ in 1..254 {
        rig.switch(1, &rig.process());
    }
    (rig, None)
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
    plain [4, 2]: alone();
    last_asid [3, 1]: with_the_last_asid();
    smmu [3, 1]: with_smmu(false);
    snooping_smmu [3, 2]: with_smmu(true);
}
