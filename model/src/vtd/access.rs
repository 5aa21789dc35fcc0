//! A device's accesses: through its own TLB, or through the unit.

use super::device::DeviceFault;
use super::fault;
use super::request::{Outcome, Refused, Request};
use super::unit::Vtd;
use crate::ground::Ground;
use crate::memory::descriptor::{Leaf, Rights};
use crate::oracle::{Holder, Violation};
use crate::tlb::Entry;

impl From<Refused> for DeviceFault {
    fn from(refused: Refused) -> Self {
        match refused.reason {
            fault::NOT_PRESENT => Self::NotPresent,
            fault::NOT_WRITABLE => Self::Permission,
            reason => Self::Reason(reason),
        }
    }
}

impl Vtd {
    /// A device's access: through its own TLB where it has one, else through the unit. The physical address.
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
        let offset = (1 << entry.shift) - 1;
        Ok(leaf.pa & !offset | request.va & offset)
    }

    fn has_ats(&self, sid: u16) -> bool {
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
        let Request { sid, pasid, va, .. } = request;
        let held = match self.atc_leaf(sid, pasid, va) {
            Some(held) => Some(held),
            None => {
                let asked = self.request_translation(sid, pasid, va, ground)?;
                if asked == Outcome::Bypass {
                    return Ok(Outcome::Bypass);
                }
                self.atc_leaf(sid, pasid, va)
            }
        };
        let (entry, leaf) = held.ok_or(DeviceFault::NotPresent)?;
        if let Err(refused) = self.admit_translated(sid, ground) {
            if refused.recorded {
                self.record(refused.reason, &request);
            }
            return Err(refused.into());
        }
        ground
            .oracle
            .used(Holder::Device(sid.into()), &entry, va, &ground.memory);
        Ok(Outcome::Translated(entry, leaf))
    }

    fn atc_leaf(&self, sid: u16, pasid: Option<u32>, va: u64) -> Option<(Entry, Leaf)> {
        self.devices.get(&sid)?.atc.leaf(pasid, va)
    }

    /// An ATS translation request, asked for or not: the unit answers from its own TLB where it can, stale or not.
    pub(super) fn request_translation(
        &mut self,
        sid: u16,
        pasid: Option<u32>,
        va: u64,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        let request = Request {
            sid,
            pasid,
            va,
            write: false,
            ats: true,
        };
        let outcome = self.translate(&request, ground)?;
        if let Outcome::Translated(entry, _) = outcome
            && let Some(device) = self.devices.get_mut(&sid)
            && !device.atc.fill(pasid, entry, &ground.memory)
        {
            let (holder, id) = (Holder::Device(sid.into()), pasid.unwrap_or(0));
            let dirty = Violation::ReusedDirty { holder, id };
            ground.oracle.report(dirty);
        }
        Ok(outcome)
    }
}
