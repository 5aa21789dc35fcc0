//! A device's accesses: through its own TLB, or through the SMMU.

use super::device::DeviceFault;
use super::event;
use super::request::{Outcome, Refused, Request};
use super::smmu::Smmu;
use crate::ground::Ground;
use crate::memory::descriptor::{Leaf, Rights};
use crate::oracle::{Holder, Violation};
use crate::tlb::Entry;

impl From<Refused> for DeviceFault {
    fn from(refused: Refused) -> Self {
        match refused.event {
            event::TRANSLATION => Self::Translation,
            event::ACCESS => Self::AccessFlag,
            event::PERMISSION => Self::Permission,
            0 => Self::Aborted,
            event => Self::Event(event),
        }
    }
}

impl Smmu {
    /// A device's access: through its own TLB where it has one, else through the SMMU. The physical address.
    pub(super) fn access(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<u64, DeviceFault> {
        let translated = if self.has_ats(request.sid) {
            self.through_atc(request, ground)?
        } else {
            self.translate(&request, ground)?
        };
        let Outcome::Translated(entry, leaf) = translated else {
            return Ok(request.va);
        };
        if request.write && leaf.rights == Rights::ReadOnly {
            return Err(DeviceFault::Permission);
        }
        Ok(physical(&entry, &leaf, request.va))
    }

    fn has_ats(&self, sid: u32) -> bool {
        self.devices
            .get(&sid)
            .is_some_and(|device| device.options.ats)
    }

    /// What the device holds it believes, its rights included: it does not ask again for more.
    fn through_atc(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<Outcome, DeviceFault> {
        let Request { sid, ssid, va, .. } = request;
        if self.atc_leaf(sid, ssid, va).is_none() {
            self.request_translation(sid, ssid, va, ground);
        }
        let Some((entry, leaf)) = self.atc_leaf(sid, ssid, va) else {
            // The same request once more, for the reason.
            return match self.translate(
                &Request {
                    ats: true,
                    ..request
                },
                ground,
            )? {
                Outcome::Bypass => Ok(Outcome::Bypass),
                Outcome::Translated(..) => Err(DeviceFault::Aborted),
            };
        };
        ground
            .oracle
            .used(Holder::Device(sid), &entry, va, &ground.memory);
        Ok(Outcome::Translated(entry, leaf))
    }

    fn atc_leaf(&self, sid: u32, ssid: Option<u32>, va: u64) -> Option<(Entry, Leaf)> {
        self.devices.get(&sid)?.atc.leaf(ssid, va)
    }

    /// An ATS translation request, asked for or not: the SMMU answers from its own TLB where it can, stale or not.
    pub(super) fn request_translation(
        &mut self,
        sid: u32,
        ssid: Option<u32>,
        va: u64,
        ground: &mut Ground,
    ) {
        let request = Request {
            sid,
            ssid,
            va,
            write: false,
            ats: true,
        };
        if let Ok(Outcome::Translated(entry, _)) = self.translate(&request, ground)
            && let Some(device) = self.devices.get_mut(&sid)
            && !device.atc.fill(ssid, entry, &ground.memory)
        {
            let (holder, id) = (Holder::Device(sid), ssid.unwrap_or(0));
            let dirty = Violation::ReusedDirty { holder, id };
            ground.oracle.report(dirty);
        }
    }
}

fn physical(entry: &Entry, leaf: &Leaf, va: u64) -> u64 {
    let offset = (1 << entry.shift) - 1;
    leaf.pa & !offset | va & offset
}
