//! A device's accesses: process element, nest MMU, memory.

use super::element::{self, Bad, Element};
use super::link::Link;
use crate::ground::Ground;
use crate::memory::descriptor::Rights;
use crate::oracle::{Holder, Violation};
use core::fmt;

/// How an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// There is no translation.
    NotPresent,
    /// The entry, cached or not, does not allow the write.
    Permission,
    /// The context was terminated: the device makes no accesses for it.
    Terminated,
    /// The link is down.
    Down,
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPresent => "no translation",
            Self::Permission => "no write permission",
            Self::Terminated => "the context was terminated",
            Self::Down => "the link is down",
        })
    }
}

impl core::error::Error for DeviceFault {}

/// One access.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) function: u16,
    pub(super) pasid: u32,
    pub(super) va: u64,
    pub(super) write: bool,
}

impl Link {
    /// Translates an access.
    pub(super) fn access(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<u64, DeviceFault> {
        let Request { pasid, va, .. } = request;
        if self.down {
            return Err(DeviceFault::Down);
        }
        let accelerator = self.accelerators.entry(request.function).or_default();
        if !accelerator.runs(pasid) {
            return Err(DeviceFault::Terminated);
        }
        self.nest_mmu.tlb.evict_one(&mut ground.chooser);
        let element = self.element(&request, ground)?;
        let (pid, holder) = (element.pid, Holder::Iommu(self.index));
        let (options, nest_mmu) = (self.options, &mut self.nest_mmu);
        let found = nest_mmu.translate(pid, va, request.write, &options, holder, ground);
        let (entry, leaf) = found.ok_or(DeviceFault::NotPresent)?;
        if request.write && leaf.rights == Rights::ReadOnly {
            return Err(DeviceFault::Permission);
        }
        let offset = (1 << entry.shift) - 1;
        Ok(leaf.pa & !offset | va & offset)
    }

    /// What was read once is used until firmware clears it, whatever memory says.
    fn element(&mut self, request: &Request, ground: &mut Ground) -> Result<Element, DeviceFault> {
        let Request { pasid, va, .. } = *request;
        let read = self.read_element(pasid, ground);
        if let Some(&cached) = self.elements.get(&pasid) {
            if read.is_ok_and(|today| today != cached) {
                let holder = Holder::Iommu(self.index);
                ground.oracle.report(Violation::UsedForeign { holder, va });
            }
            return Ok(cached);
        }
        let wrong = match read {
            Ok(element) if element.function == request.function => {
                self.elements.insert(pasid, element);
                return Ok(element);
            }
            Err(Bad::Absent) => Violation::Checkstop { iommu: self.index },
            Ok(_) | Err(Bad::Malformed) => Violation::IllegalElement {
                iommu: self.index,
                pasid,
            },
        };
        ground.oracle.report(wrong);
        self.down = true;
        Err(DeviceFault::Down)
    }

    fn read_element(&self, pasid: u32, ground: &Ground) -> Result<Element, Bad> {
        let (area, len) = self.area.ok_or(Bad::Absent)?;
        if u64::from(pasid) >= len / element::LEN {
            return Err(Bad::Absent);
        }
        element::read(&ground.memory, area, pasid)
    }
}
