//! The part of devices behind AMD IOMMUs: counted by the modelled IOMMUs and in the cost that the flush returns.

use super::cpus::{Operation, engine};
use super::{AMD, BASIC, FULL};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Pasid, Translation, gcr3_len,
};
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::amd::{AmdOptions, AmdPort, DeviceOptions};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::{Model, Temper};

/// How many IOMMUs, with how many devices behind each, which have TLBs of their own or not.
pub(super) type AmdRow = (&'static str, usize, u16, bool, Operation, [u32; 5]);

type Driver = Iommu<AmdPort, ModelBarriers, CriticalSectionLock>;

/// One IOMMU with devices that share one table by PASID.
fn iommu(model: &Model, devices: u16, ats: bool, root: u64) -> (&'static Driver, AttachKey) {
    let port = model.add_amd(AmdOptions::default());
    let memory = Memory {
        commands: model.share(0x1000, 0x1000),
        devices: model.share(0x1000, 0x1000),
        events: Some(model.share(0x1000, 0x1000)),
        completion: model.share(0x1000, 0x1000),
    };
    let barriers = ModelBarriers::new(model.clone());
    let config = Config::new(port.capability());
    let driver = Driver::new(port.clone(), barriers, CriticalSectionLock, memory, config);
    let driver: &'static Driver = Box::leak(Box::new(driver.expect("a whole IOMMU")));
    let mut patience = || true;
    driver.init(&mut patience).expect("a willing IOMMU");
    for device in 0..devices {
        let options = DeviceOptions {
            ats,
            ..DeviceOptions::default()
        };
        port.add_device(device, options);
        let kind = DeviceKind::Pasid {
            gcr3: model.share(gcr3_len(9) as u64, 0x1000),
            pasid_bits: 9,
            refuse_untagged: true,
        };
        let setup = DeviceSetup {
            device: DeviceId(device),
            kind,
            ats: ats.then_some(32),
        };
        driver
            .add_device(setup, &mut patience)
            .expect("a free device");
    }
    let contexts: Vec<_> = (0..devices)
        .map(|device| Context {
            device: DeviceId(device),
            pasid: Pasid::new(5),
        })
        .collect();
    let root = PhysAddr::new(root);
    let key = driver.reserve(&contexts, &Translation::Process { root });
    (driver, key.expect("free contexts"))
}

#[test]
fn promise_11_costs_of_devices_behind_amd_iommus() {
    for &(name, iommus, devices, ats, operation, expected) in AMD {
        let (engine, space) = engine(BASIC, FULL, 2);
        let model = Model::new(1, Temper::Kind);
        let root = model.x86_tables().root();
        for _ in 0..iommus {
            let (driver, key) = iommu(&model, devices, ats, root);
            let _attached = engine
                .attach(&space, driver, key)
                .expect("a free place for an IOMMU");
            driver.install(key, &mut || true).expect("still there");
        }
        model.take_counts();
        let cost = operation(&engine, &space);
        let returned = [
            cost.commands,
            cost.syncs,
            cost.doorbells,
            cost.queue_barriers,
            cost.escalations,
        ];
        assert_eq!(returned, expected, "{name}: returned");
        let counts = model.take_counts();
        let counted = [
            counts.commands,
            counts.syncs,
            counts.doorbells,
            counts.queue_barriers,
        ];
        assert_eq!(counted, expected[..4], "{name}: counted by the machine");
        engine
            .release(&space)
            .expect("every IOMMU answers, and the space may go");
    }
}
