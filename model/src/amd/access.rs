//! A device's accesses: through its own TLB, or through the IOMMU.

use super::device::DeviceFault;
use super::iommu::Iommu;
use super::request::{Outcome, Request};
use crate::ground::Ground;
use crate::memory::descriptor::{Leaf, Rights};
use crate::oracle::Holder;
use crate::tlb::Entry;

impl Iommu {
    /// A device's access: through its own TLB where it has one, else through the IOMMU. The physical address.
    pub(super) fn access(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<u64, DeviceFault> {
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
                Outcome::Translated(entry, _) => self.hold(device, pasid, entry),
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

    fn hold(&mut self, device: u32, pasid: Option<u32>, entry: Entry) {
        if let Some(device) = self.devices.get_mut(&device) {
            device.tlb.fill(pasid, entry);
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
            self.hold(device, pasid, entry);
        }
    }
}
