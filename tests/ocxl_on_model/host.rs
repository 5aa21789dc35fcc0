//! What a kernel does for a link: firmware's calls, the control registers of the accelerators, and a flush of a process.

use crate::rig::Platform;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tlb_shootdown::arch::powerpc::hypervisor::{Hypervisor, RptInvalidate};
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown::iommu::ocxl::{Context, Host, HostError, Pid};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::cpu::powerpc::{ModelHypervisor, ModelInstructions};
use tlb_shootdown_model::ocxl::{DevicePort, LinkPort};

/// Clones are the same host.
#[derive(Clone)]
pub(crate) struct ModelHost {
    port: LinkPort,
    platform: Platform,
    has_tlbie: bool,
    devices: Arc<Mutex<BTreeMap<u32, DevicePort>>>,
}

/// RB, IS = 1; an address that nobody uses, of 64 KiB.
const BY_PID: u64 = 1 << 10;
const UNUSED: u64 = 0xf_ffff_ffff_f0a0;

impl ModelHost {
    pub(crate) fn new(port: LinkPort, platform: Platform, has_tlbie: bool) -> Self {
        Self {
            port,
            platform,
            has_tlbie,
            devices: Arc::default(),
        }
    }

    /// The device begins to act for this PASID.
    pub(crate) fn start(&self, function: u16, pasid: u32) -> DevicePort {
        let device = self.port.device(function, pasid);
        self.devices().insert(pasid, device.clone());
        device
    }

    fn devices(&self) -> MutexGuard<'_, BTreeMap<u32, DevicePort>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The context's device; nothing where it was never started.
    fn device(&self, context: &Context) -> Option<DevicePort> {
        self.devices().get(&context.pasid.raw()).cloned()
    }

    /// With what POWER9's defects ask for.
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
        let _pin = self.platform.pin_cpu();
        if self.has_tlbie {
            return self.broadcast(pid);
        }
        ModelInstructions::new(self.port.model().clone()).ptesync();
        let everything = RptInvalidate {
            pid: pid.raw().into(),
            target: 1 | 4,
            kind: 2 | 4 | 8,
            page_sizes: u64::MAX,
            start: 0,
            end: u64::MAX,
        };
        let hypervisor = ModelHypervisor::new(self.port.model().clone());
        hypervisor.rpt_invalidate(&everything).unwrap();
    }
}
