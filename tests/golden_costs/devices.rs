//! The devices' part: counted by the modelled SMMUs and in the cost that the flush returns.

use super::DEVICES;
use super::cpus::{Operation, engine};
use super::translation::translation;
use super::{BASIC, FULL};
use tlb_shootdown::iommu::smmuv3::{Config, Context, Memory, Smmu, StreamId, StreamSetup};
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions, SmmuPort};
use tlb_shootdown_model::{Model, Temper};

pub(super) type DeviceRow = (&'static str, usize, u32, Operation, [u32; 5]);

type Driver = Smmu<SmmuPort, ModelBarriers, CriticalSectionLock>;

/// One SMMU with a plain device, or with so many that have a TLB of their own; all share one table.
fn smmu(model: &Model, device_tlbs: u32, root: u64) -> (&'static Driver, AttachKey) {
    let port = model.add_smmu(SmmuOptions::default());
    let memory = Memory {
        commands: model.share(16 * 64, 0x1000),
        streams: model.share(64 * 16, 0x1000),
        events: None,
        message: None,
    };
    let barriers = ModelBarriers::new(model.clone());
    let driver = Driver::new(
        port.clone(),
        barriers,
        CriticalSectionLock,
        memory,
        Config::new(),
    );
    let driver: &'static Driver = Box::leak(Box::new(driver.expect("a whole SMMU")));
    let mut patience = || true;
    driver.init(&mut patience).expect("a willing SMMU");
    let streams = 0..device_tlbs.max(1);
    for stream in streams.clone() {
        let options = DeviceOptions {
            ats: device_tlbs > 0,
            ..DeviceOptions::default()
        };
        port.add_device(stream, options);
        let setup = StreamSetup {
            stream: StreamId(stream),
            contexts: model.share(64, 0x1000),
            substream_bits: 0,
            ats: (device_tlbs > 0).then_some(12),
        };
        driver
            .add_stream(setup, &mut patience)
            .expect("a free stream");
    }
    let contexts: Vec<_> = streams
        .map(|stream| Context {
            stream: StreamId(stream),
            substream: None,
        })
        .collect();
    let key = driver
        .reserve(&contexts, &translation(root))
        .expect("free contexts");
    (driver, key)
}

/// An IOMMU with so many device TLBs: the driver, its key for the table at a root, and what lets the devices use it.
pub(super) type Iommu = fn(&Model, u32, u64) -> (&'static dyn SecondaryTlb, AttachKey, Install);
pub(super) type Install = Box<dyn FnOnce()>;

#[test]
fn promise_11_costs_of_devices() {
    check(DEVICES, |model, device_tlbs, root| {
        let (driver, key) = smmu(model, device_tlbs, root);
        let install = move || driver.install(key, &mut || true).expect("still there");
        (driver, key, Box::new(install))
    });
}

pub(super) fn check(rows: &[DeviceRow], iommu: Iommu) {
    for &(name, iommus, device_tlbs, operation, expected) in rows {
        let (engine, space) = engine(BASIC, FULL, 2);
        let model = Model::new(1, Temper::Kind);
        let root = model.tables().root();
        for _ in 0..iommus {
            let (driver, key, install) = iommu(&model, device_tlbs, root);
            let _attached = engine
                .attach(&space, driver, key)
                .expect("a free place for an IOMMU");
            install();
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
