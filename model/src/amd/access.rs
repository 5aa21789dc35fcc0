//! A device's accesses: through its own TLB, or through the IOMMU.

use super::device::DeviceFault;
use super::event;
use super::iommu::Iommu;
use super::request::{Outcome, Refused, Request};
use crate::ground::Ground;
use crate::memory::descriptor::{Leaf, Rights};
use crate::oracle::{Holder, Violation};
use crate::tlb::Entry;
use alloc::vec::Vec;

impl From<Refused> for DeviceFault {
    fn from(refused: Refused) -> Self {
        match refused.code {
            event::PAGE_FAULT if refused.permission => Self::Permission,
            event::PAGE_FAULT => Self::NotPresent,
            code => Self::Event(code),
        }
    }
}

impl Iommu {
    /// A device's access: through its own TLB where it has one, else through the IOMMU. The physical address.
    pub(super) fn access(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<u64, DeviceFault> {
        if let Some(device) = self.devices.get_mut(&request.device) {
            device.accessed(request.pasid, request.va);
        }
        let translated = if self.has_tlb(request.device) {
            self.through_device_tlb(request, ground)?
        } else {
            self.translate(&request, ground)?
        };
        let Outcome::Translated(entry, leaf) = translated else {
            return Ok(request.va);
        };
        if request.write && leaf.rights == Rights::ReadOnly {
            return Err(DeviceFault::Permission);
        }
        let offset = (1 << entry.shift) - 1;
        Ok(leaf.pa & !offset | request.va & offset)
    }

    /// Restless devices look up again what they accessed, into their own TLBs or the IOMMU's.
    pub(super) fn repeat_accesses(&mut self, ground: &mut Ground) {
        let requests: Vec<Request> = self
            .devices
            .iter()
            .flat_map(|(&device, state)| {
                let request = move |&(pasid, va): &(Option<u32>, u64)| Request {
                    device,
                    pasid,
                    va,
                    write: false,
                    ats: state.options.ats,
                };
                state.repeats().iter().map(request)
            })
            .collect();
        for request in requests {
            let found = self.try_translate(&request, ground);
            if let (true, Ok(Outcome::Translated(entry, _))) = (request.ats, found) {
                self.hold(request.device, request.pasid, entry, ground);
            }
        }
    }

    fn has_tlb(&self, device: u32) -> bool {
        let device = self.devices.get(&device);
        device.is_some_and(|device| device.options.ats)
    }

    /// What the device holds it believes, its rights included: it does not ask again for more.
    fn through_device_tlb(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<Outcome, DeviceFault> {
        let Request {
            device, pasid, va, ..
        } = request;
        if self.held(device, pasid, va).is_none() {
            let asked = Request {
                ats: true,
                write: false,
                ..request
            };
            match self.translate(&asked, ground)? {
                Outcome::Bypass => return Ok(Outcome::Bypass),
                Outcome::Translated(entry, _) => self.hold(device, pasid, entry, ground),
            }
        }
        let (entry, leaf) = self.held(device, pasid, va).ok_or(DeviceFault::Aborted)?;
        self.let_through(&request, ground)?;
        ground
            .oracle
            .used(Holder::Device(device), &entry, va, &ground.memory);
        Ok(Outcome::Translated(entry, leaf))
    }

    fn held(&self, device: u32, pasid: Option<u32>, va: u64) -> Option<(Entry, Leaf)> {
        self.devices.get(&device)?.tlb.leaf(pasid, va)
    }

    fn hold(&mut self, device: u32, pasid: Option<u32>, entry: Entry, ground: &mut Ground) {
        let held = self.devices.get_mut(&device);
        if held.is_some_and(|held| !held.tlb.fill(pasid, entry, &ground.memory)) {
            let (holder, id) = (Holder::Device(device), pasid.unwrap_or(0));
            let dirty = Violation::ReusedDirty { holder, id };
            ground.oracle.report(dirty);
        }
    }

    /// A translation request that no access waits for: the IOMMU answers from its own TLB where it can, stale or not.
    pub(super) fn request_translation(
        &mut self,
        device: u32,
        pasid: Option<u32>,
        va: u64,
        ground: &mut Ground,
    ) {
        let request = Request {
            device,
            pasid,
            va,
            write: false,
            ats: true,
        };
        if let Ok(Outcome::Translated(entry, _)) = self.translate(&request, ground) {
            self.hold(device, pasid, entry, ground);
        }
    }
}
