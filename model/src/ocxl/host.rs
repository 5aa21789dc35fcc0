//! What a kernel does for a link: firmware's calls, the control registers of the accelerators, and a flush of a process.

use super::port::{DevicePort, LinkPort};
use crate::cpu::powerpc::{ModelHypervisor, ModelInstructions};
use crate::lock::Lock;
use crate::platform::{PinGuard, current};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::task::Poll;
use tlb_shootdown::arch::powerpc::hypervisor::{Hypervisor, RptInvalidate};
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown::iommu::ocxl::{Context, Host, HostError, Pid};

/// RB: IS = 1; the last 4 KiB of 52 bits as a page of 64 KiB, which nobody uses.
const BY_PID: u64 = 1 << 10;
const UNUSED: u64 = 0xf_ffff_ffff_f0a0;

/// The library's [`Host`] for one link of a machine. Clones are the same host.
#[derive(Clone)]
pub struct ModelHost {
    port: LinkPort,
    devices: Arc<Lock<BTreeMap<u32, DevicePort>>>,
}

impl fmt::Debug for ModelHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelHost")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl ModelHost {
    /// The kernel behind this link.
    pub fn new(port: LinkPort) -> Self {
        Self {
            port,
            devices: Arc::new(Lock::new(BTreeMap::new())),
        }
    }

    /// Starts a context: this function's accelerator acts for the PASID from now on.
    pub fn start(&self, function: u16, pasid: u32) -> DevicePort {
        let device = self.port.device(function, pasid);
        self.devices.with(|all| all.insert(pasid, device.clone()));
        device
    }

    /// The device of a context; nothing where it was never started.
    fn device(&self, context: &Context) -> Option<DevicePort> {
        self.devices
            .with(|all| all.get(&context.pasid.raw()).cloned())
    }

    /// With what the defects of POWER9 ask for, wherever it runs.
    fn broadcast(&self, pid: Pid) {
        let on = ModelInstructions::new(self.port.model().clone());
        let rs = u64::from(pid.raw()) << 32;
        on.ptesync();
        on.tlbie_ric2_prs1(BY_PID, rs);
        on.ptesync();
        on.tlbie_ric0_prs1(BY_PID, 0);
        on.ptesync();
        on.tlbie_ric0_prs1(UNUSED, rs);
        on.eieio();
        on.tlbsync();
        on.ptesync();
    }

    /// All threads and nest MMUs, translations, page-walk caches and process-table entries.
    fn ask(&self, pid: Pid) {
        let model = self.port.model();
        ModelInstructions::new(model.clone()).ptesync();
        let everything = RptInvalidate {
            pid: pid.raw().into(),
            target: 1 | 4,
            kind: 2 | 4 | 8,
            page_sizes: u64::MAX,
            start: 0,
            end: u64::MAX,
        };
        let done = ModelHypervisor::new(model.clone()).rpt_invalidate(&everything);
        debug_assert_eq!(done, Ok(()), "nobody told it to fail");
    }
}

// SAFETY: nothing but tests relies on it; each method does on the machine what it is asked.
unsafe impl Host for ModelHost {
    fn terminate_pasid(&self, context: &Context) -> Poll<Result<(), HostError>> {
        match self.device(context) {
            Some(device) if !device.terminate() => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn termination(&self, context: &Context) -> Poll<Result<(), HostError>> {
        match self.device(context).and_then(|device| device.terminating()) {
            Some(pasid) if pasid == context.pasid.raw() => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn clear_pe_cache(&self, context: &Context) -> Poll<Result<(), HostError>> {
        self.port.clear_element(context.pasid.raw());
        Poll::Ready(Ok(()))
    }

    fn flush_process(&self, pid: Pid) {
        let cpu = current::get();
        let _pin = PinGuard::new(self.port.model(), cpu);
        if self.port.model().cpu(cpu).may_broadcast() {
            self.broadcast(pid);
        } else {
            self.ask(pid);
        }
    }
}
