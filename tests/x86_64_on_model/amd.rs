//! Devices behind an AMD IOMMU, for random kernels.

use crate::random_kernel::{Attached, Devices, Machine as _, lend};
use crate::rig::{Platform, Process, Rig};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Pasid, Translation, gcr3_len,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::amd::{AmdOptions, AmdPort, DeviceOptions, DevicePort};
use tlb_shootdown_model::platform::ModelBarriers;

type Driver = Iommu<AmdPort, ModelBarriers, IrqTicketLock<Platform>>;

/// Two PASIDs of a device with a TLB of its own, and two of one without.
const DEVICES: [(u16, bool); 2] = [(1, true), (2, false)];
const PASIDS: [u32; 2] = [0x5, 0x145];
const PASID_BITS: u8 = 9;

pub(crate) struct AmdDevices {
    driver: &'static Driver,
    platform: &'static Platform,
    ports: Vec<DevicePort>,
    contexts: Vec<Context>,
}

impl AmdDevices {
    pub(crate) fn new(rig: &Rig, restless: bool) -> Self {
        let model = &rig.model;
        let port = model.add_amd(AmdOptions::default());
        let platform: &'static Platform = lend(rig.platform.clone());
        let memory = Memory {
            commands: model.share(0x1000, 0x1000),
            devices: model.share(0x1000, 0x1000),
            events: Some(model.share(0x1000, 0x1000)),
            completion: model.share(0x1000, 0x1000),
        };
        let barriers = ModelBarriers::new(model.clone());
        let config = Config::new(port.capability());
        let lock = IrqTicketLock::new(platform);
        let driver = Driver::new(port.clone(), barriers, lock, memory, config);
        let driver: &'static Driver = lend(driver.unwrap());
        let mut devices = Self {
            driver,
            platform,
            ports: Vec::new(),
            contexts: Vec::new(),
        };
        driver.init(&mut devices.patience(1_000_000)).unwrap();
        for (id, ats) in DEVICES {
            let options = DeviceOptions {
                ats,
                restless,
                ..DeviceOptions::default()
            };
            devices.add(model, &port, id, options);
        }
        devices
    }

    fn add(&mut self, model: &Model, iommu: &AmdPort, id: u16, options: DeviceOptions) {
        iommu.add_device(id, options);
        let setup = DeviceSetup {
            device: DeviceId(id),
            kind: DeviceKind::Pasid {
                gcr3: model.share(gcr3_len(PASID_BITS) as u64, 0x1000),
                pasid_bits: PASID_BITS,
                refuse_untagged: true,
            },
            ats: options.ats.then_some(32),
        };
        let added = self.driver.add_device(setup, &mut self.patience(10_000));
        added.unwrap();
        for pasid in PASIDS {
            self.ports.push(iommu.device(id).pasid(pasid));
            self.contexts.push(Context {
                device: DeviceId(id),
                pasid: Pasid::new(pasid),
            });
        }
    }

    /// The caller's patience, in turns of the machine.
    fn patience(&self, mut left: u32) -> impl FnMut() -> bool + use<> {
        let platform = self.platform;
        move || {
            platform.relax();
            left -= 1;
            left > 0
        }
    }
}

impl Devices<Rig> for AmdDevices {
    fn contexts(&self) -> usize {
        self.contexts.len()
    }

    fn attach(&self, rig: &Rig, context: usize, process: &Process) -> Option<Attached> {
        let root = PhysAddr::new(process.tables.root());
        let contexts = [self.contexts[context]];
        let translation = Translation::Process { root };
        let key = self.driver.reserve(&contexts, &translation).unwrap();
        let attachment = rig.engine().attach(process.space, self.driver, key);
        let attachment = attachment.unwrap();
        let installed = self.driver.install(key, &mut self.patience(10_000));
        installed.unwrap();
        Some(Attached { key, attachment })
    }

    fn detach(&self, rig: &Rig, context: usize, process: &Process, attached: Attached) {
        self.retired(rig, context, process, attached.key);
        let detached = rig.engine().detach(process.space, attached.attachment);
        detached.unwrap();
    }

    fn retired(&self, _rig: &Rig, _context: usize, _process: &Process, key: AttachKey) {
        let detached = self.driver.detach(key, &mut self.patience(10_000));
        detached.unwrap();
    }

    fn read(&self, context: usize, va: u64) -> bool {
        self.ports[context].read(va).is_ok()
    }

    fn write(&self, context: usize, va: u64, value: u64) -> bool {
        self.ports[context].write(va, value).is_ok()
    }

    fn set_silent(&self, context: usize, silent: bool) {
        self.ports[context].set_silent(silent);
    }
}
