//! The same behind VT-d.

use super::VTD_DEVICES;
use super::devices::{Install, check};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Pasid, SourceId, TranslationConfig,
    Vtd, pasid_table_bytes,
};
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::vtd::{DeviceOptions, VtdOptions, VtdPort};

type Driver = Vtd<VtdPort, ModelBarriers, CriticalSectionLock>;

/// One unit with a plain device, or with so many that have a TLB of their own; all share one table under one PASID.
fn vtd(
    model: &Model,
    device_tlbs: u32,
    root: u64,
) -> (&'static dyn SecondaryTlb, AttachKey, Install) {
    let port = model.add_vtd(VtdOptions::default());
    let memory = Memory {
        queue: model.share(0x1000, 0x1000),
        status: model.share(0x1000, 0x1000),
        root: model.share(0x1000, 0x1000),
        contexts: model.share(0x2000, 0x1000),
    };
    let barriers = ModelBarriers::new(model.clone());
    let driver = Driver::new(
        port.clone(),
        barriers,
        CriticalSectionLock,
        memory,
        Config::new(),
    );
    let driver: &'static Driver = Box::leak(Box::new(driver.expect("a whole unit")));
    let mut patience = || true;
    driver.init(&mut patience).expect("a willing unit");
    let devices: Vec<_> = (0..device_tlbs.max(1) as u16)
        .map(|n| SourceId(n << 3))
        .collect();
    for &device in &devices {
        let ats = device_tlbs > 0;
        let options = DeviceOptions {
            ats,
            ..DeviceOptions::default()
        };
        port.add_device(device.0, options);
        let setup = DeviceSetup {
            device,
            pasids: Some(model.share(pasid_table_bytes(6) as u64, 0x1000)),
            pasid_bits: 6,
            device_tlb: ats.then_some(DeviceTlb {
                queue_depth: 0,
                physical_function: device,
                flush_twice: false,
            }),
            page_requests: false,
        };
        driver
            .add_device(setup, &mut patience)
            .expect("a free slot");
    }
    let contexts: Vec<_> = devices
        .into_iter()
        .map(|device| Context {
            device,
            pasid: Pasid::new(9),
        })
        .collect();
    let translation = TranslationConfig {
        root: PhysAddr::new(root),
        levels: Levels::Four,
    };
    let key = driver
        .reserve(&contexts, &translation)
        .expect("free contexts");
    let install = move || driver.install(key, &mut || true).expect("still there");
    (driver, key, Box::new(install))
}

#[test]
fn promise_11_costs_of_devices_behind_vtd() {
    check(VTD_DEVICES, vtd);
}
