//! Devices behind a VT-d unit, for random kernels.

use crate::random_kernel::{Attached, Devices, Machine as _, Needing, lend};
use crate::rig::{Platform, Process, Rig};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Pasid, SourceId, TranslationConfig,
    Vtd, pasid_table_bytes,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::notifier::StaticTlb;
use tlb_shootdown::secondary::{AttachKey, Needs};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::vtd::{DeviceOptions, DevicePort, VtdOptions, VtdPort};

type Driver = Vtd<VtdPort, ModelBarriers, IrqTicketLock<Platform>>;

/// Two PASIDs of a device with a TLB of its own, and two of one without.
const DEVICES: [(u16, bool); 2] = [(0x0208, true), (0x0210, false)];
const PASIDS: [u32; 2] = [3, 4];

pub(crate) struct VtdDevices {
    driver: &'static Driver,
    /// What the engine knows the unit as.
    tlb: StaticTlb,
    told_at_once: bool,
    has_write_buffer: bool,
    ports: Vec<DevicePort>,
    contexts: Vec<Context>,
}

/// Units that differ in what a driver has to do.
pub(crate) fn units() -> Vec<(VtdOptions, Config)> {
    let usual = VtdOptions::default();
    let unordered = VtdOptions {
        orders_device_tlbs: false,
        ..usual
    };
    let fenced = Config {
        wait_before_device_tlbs: true,
        ..Config::new()
    };
    let buffered = VtdOptions {
        caching_mode: true,
        write_buffer: true,
        ..usual
    };
    let incoherent = VtdOptions {
        coherent: false,
        mamv: 0,
        ..usual
    };
    vec![
        (usual, Config::new()),
        (unordered, fenced),
        (buffered, Config::new()),
        (incoherent, Config::new()),
    ]
}

/// The caller's patience, in turns.
fn patience() -> impl FnMut() -> bool {
    let mut left = 10_000;
    move || {
        left -= 1;
        left > 0
    }
}

fn memory(model: &Model) -> Memory {
    Memory {
        queue: model.share(0x1000, 0x1000),
        status: model.share(0x1000, 0x1000),
        root: model.share(0x1000, 0x1000),
        contexts: model.share(0x1000, 0x1000),
    }
}

impl VtdDevices {
    pub(crate) fn new(rig: &Rig, (options, config): (VtdOptions, Config), at_once: bool) -> Self {
        let model = &rig.model;
        let port = model.add_vtd(options);
        let platform: &'static Platform = lend(rig.platform.clone());
        let driver = Driver::new(
            port.clone(),
            ModelBarriers::new(model.clone()),
            IrqTicketLock::new(platform),
            memory(model),
            config,
        );
        let driver: &'static Driver = lend(driver.unwrap());
        driver.init(&mut patience()).unwrap();
        let mut devices = Self {
            driver,
            tlb: if at_once {
                Needing::new(driver, Needs::AT_ADD)
            } else {
                driver
            },
            told_at_once: at_once,
            has_write_buffer: options.write_buffer,
            ports: Vec::new(),
            contexts: Vec::new(),
        };
        for (sid, ats) in DEVICES {
            devices.add(model, &port, sid, ats);
        }
        devices
    }

    fn add(&mut self, model: &Model, unit: &VtdPort, sid: u16, ats: bool) {
        let options = DeviceOptions {
            ats,
            ..DeviceOptions::default()
        };
        let port = unit.add_device(sid, options);
        let setup = DeviceSetup {
            device: SourceId(sid),
            pasids: Some(model.share(pasid_table_bytes(8) as u64, 0x1000)),
            pasid_bits: 8,
            device_tlb: ats.then_some(DeviceTlb {
                queue_depth: 4,
                physical_function: SourceId(sid),
                flush_twice: false,
            }),
            page_requests: false,
        };
        self.driver.add_device(setup, &mut patience()).unwrap();
        for pasid in PASIDS.map(|pasid| pasid + u32::from(sid)) {
            self.ports.push(port.pasid(pasid & 0xff));
            self.contexts.push(Context {
                device: SourceId(sid),
                pasid: Pasid::new(pasid & 0xff),
            });
        }
    }
}

impl Devices<Rig> for VtdDevices {
    fn contexts(&self) -> usize {
        self.contexts.len()
    }

    fn attach(&self, rig: &Rig, context: usize, process: &Process) -> Option<Attached> {
        let translation = TranslationConfig {
            root: PhysAddr::new(process.tables.root()),
            levels: Levels::Four,
        };
        let contexts = [self.contexts[context]];
        let key = self.driver.reserve(&contexts, &translation).unwrap();
        let attachment = rig.engine().attach(process.space, self.tlb, key).unwrap();
        self.driver.install(key, &mut patience()).unwrap();
        Some(Attached { key, attachment })
    }

    fn detach(&self, rig: &Rig, _context: usize, process: &Process, attached: Attached) {
        self.driver.detach(attached.key, &mut patience()).unwrap();
        let detached = rig.engine().detach(process.space, attached.attachment);
        detached.unwrap();
    }

    fn retired(&self, _rig: &Rig, _context: usize, _process: &Process, key: AttachKey) {
        self.driver.detach(key, &mut patience()).unwrap();
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

    fn are_told_at_once(&self) -> bool {
        self.told_at_once
    }

    fn miss_new_pages(&self) -> bool {
        self.has_write_buffer
    }
}
