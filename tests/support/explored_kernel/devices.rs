//! The device that serves the process, where there is one.

use super::kernel::{Kernel, PAGES};
use crate::random_kernel::Machine;

/// Of the contexts that there are the only one in use.
pub(super) const CONTEXT: usize = 0;

impl<M: Machine> Kernel<M> {
    pub(super) fn attach(&mut self) {
        if let Some(devices) = &self.devices {
            let attached = devices.attach(&self.rig, CONTEXT, &self.process);
            self.attached = Some(attached.expect("the process runs already"));
        }
    }

    pub(super) fn device_touch(&mut self) {
        for page in 0..PAGES {
            self.device_access(page, false);
        }
    }

    /// The device reads or writes a page, and finds what the table says wherever no change is under way and the process has not ended.
    pub(super) fn device_access(&self, page: usize, write: bool) {
        let (Some(devices), Some(_)) = (&self.devices, &self.attached) else {
            return;
        };
        let (va, has) = (self.va(page), self.pages[page]);
        let (done, allowed) = match write {
            true => (devices.write(CONTEXT, va, 1), has.is_writable()),
            false => (devices.read(CONTEXT, va), has.is_mapped()),
        };
        if self.is_alive() {
            self.expect(page, done, allowed, "device", CONTEXT);
        }
    }

    pub(super) fn stall_device(&mut self, stalls: bool) {
        if let Some(devices) = &self.devices {
            devices.set_silent(CONTEXT, stalls);
        }
        self.device_stalls = stalls;
    }
}
