//! An OpenCAPI link with one accelerator.
//!
//! Its nest MMU finds a table by PID. Beside POWER CPUs that is the CPUs' own; elsewhere the kernel keeps a process table for the link alone.

use super::iommu::{Iommu, Table};
use crate::ring_lock::Lock;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tlb_shootdown::iommu::ocxl::{Config, Context, FunctionId, Link, Mode, Pasid, Pid, Process};
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::Model;
use tlb_shootdown_model::ocxl::{DevicePort, LinkOptions, LinkPort, ModelHost};
use tlb_shootdown_model::platform::ModelBarriers;

type Driver = Link<LinkPort, ModelBarriers, Lock, ModelHost>;

/// Bus 4, device 0, function 1.
const FUNCTION: u16 = 0x0401;
const ELEMENTS: u64 = 16;
/// The PID of context 1 is one more, where CPUs have none.
const OWN_PIDS: u32 = 0x100;

pub(crate) struct OpenCapi {
    driver: &'static Driver,
    model: Model,
    port: LinkPort,
    host: ModelHost,
    pids: RefCell<BTreeMap<u32, u32>>,
    devices: RefCell<BTreeMap<u32, DevicePort>>,
}

impl OpenCapi {
    pub(crate) fn new(model: &Model, options: LinkOptions) -> Self {
        let port = model.add_link(options);
        let host = ModelHost::new(port.clone());
        let mode = match options.snoops {
            true => Mode::Snooping,
            false => Mode::Atsd(port.clone()),
        };
        let config = match options.believes_its_rights {
            true => Config::power9(),
            false => Config::power10(),
        };
        let barriers = ModelBarriers::new(model.clone());
        let area = model.share(ELEMENTS * 128, 0x1000);
        let driver = Driver::new(mode, barriers, Lock::default(), area, host.clone(), config);
        let driver: &'static Driver = Box::leak(Box::new(driver.unwrap()));
        port.set_process_area(driver.spa().raw(), ELEMENTS * 128);
        Self {
            driver,
            model: model.clone(),
            port,
            host,
            pids: RefCell::default(),
            devices: RefCell::default(),
        }
    }

    fn device(&self, context: u32) -> DevicePort {
        self.devices.borrow()[&context].clone()
    }
}

impl Iommu for OpenCapi {
    fn tlb(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    fn reserve(&self, context: u32, table: Table) -> AttachKey {
        let pid = table.id.unwrap_or(OWN_PIDS + context);
        self.model.set_process(pid, Some(table.root));
        self.pids.borrow_mut().insert(context, pid);
        let element = Context {
            pasid: Pasid::new(context).unwrap(),
            function: FunctionId(FUNCTION),
            thread: 0,
            amr: 0,
        };
        let process = Process {
            pid: Pid::new(pid).unwrap(),
            lpid: 0,
            wide: true,
            tag_checks: false,
        };
        let device = self.host.start(FUNCTION, context);
        self.devices.borrow_mut().insert(context, device);
        self.driver.reserve(&[element], &process).unwrap()
    }

    fn install(&self, key: AttachKey) {
        self.driver.install(key).unwrap();
    }

    fn read(&self, context: u32, va: u64) -> Result<u64, String> {
        let read = self.device(context).read(va);
        read.map_err(|fault| format!("{fault:?}"))
    }

    fn write(&self, context: u32, va: u64, value: u64) -> Result<(), String> {
        let written = self.device(context).write(va, value);
        written.map_err(|fault| format!("{fault:?}"))
    }

    fn held(&self) -> usize {
        self.port.held()
    }

    /// The process table has it no more.
    fn ends(&self, context: u32) {
        self.model.set_process(self.pids.borrow()[&context], None);
    }
}
