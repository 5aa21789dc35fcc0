//! Accelerators behind a link, for random kernels.

use crate::linked::Behind;
use crate::random_kernel::{Attached, Devices, Machine as _, Surplus};
use crate::rig::{Process, Rig};
use std::cell::RefCell;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::ocxl::{DevicePort, LinkOptions};

/// Two PASIDs of each of two functions.
const CONTEXTS: [(u16, u32); 4] = [(0x0401, 3), (0x0401, 4), (0x0402, 5), (0x0402, 6)];

pub(crate) struct Accelerators {
    link: Behind,
    /// Those that were ever started.
    started: RefCell<[Option<DevicePort>; CONTEXTS.len()]>,
}

impl Accelerators {
    pub(crate) fn new(rig: &Rig, options: LinkOptions) -> Self {
        Self {
            link: Behind::new(rig, options),
            started: RefCell::default(),
        }
    }

    fn end(&self, key: AttachKey) {
        let mut patience = (0..10_000).map(|_| true).chain([false]);
        let mut wait = || patience.next().unwrap_or(false);
        self.link.driver.detach(key, &mut wait).unwrap();
    }

    fn access(&self, context: usize, access: impl FnOnce(&DevicePort) -> bool) -> bool {
        self.started.borrow()[context].as_ref().is_some_and(access)
    }
}

impl Devices<Rig> for Accelerators {
    fn contexts(&self) -> usize {
        CONTEXTS.len()
    }

    /// Not before the process has run and has a PID.
    fn attach(&self, rig: &Rig, context: usize, process: &Process) -> Option<Attached> {
        let pid = rig.pid(process)?;
        let (function, pasid) = CONTEXTS[context];
        let link = &self.link;
        let key = link.reserve(function, pasid, pid).unwrap();
        let attachment = rig.engine().attach(process.space, link.driver, key);
        let attachment = attachment.unwrap();
        link.driver.install(key).unwrap();
        let device = link.host.start(function, pasid);
        self.started.borrow_mut()[context] = Some(device);
        Some(Attached { key, attachment })
    }

    fn detach(&self, rig: &Rig, _context: usize, process: &Process, attached: Attached) {
        let detached = rig.engine().detach(process.space, attached.attachment);
        detached.unwrap();
        self.end(attached.key);
    }

    fn retired(&self, _rig: &Rig, _context: usize, _process: &Process, key: AttachKey) {
        self.end(key);
    }

    /// A link is told page by page.
    fn surplus(&self) -> (Surplus, Surplus) {
        (Surplus::None, Surplus::None)
    }

    fn read(&self, context: usize, va: u64) -> bool {
        self.access(context, |device| device.read(va).is_ok())
    }

    fn write(&self, context: usize, va: u64, value: u64) -> bool {
        self.access(context, |device| device.write(va, value).is_ok())
    }

    fn set_silent(&self, _context: usize, silent: bool) {
        self.link.port.freeze(silent);
    }
}
