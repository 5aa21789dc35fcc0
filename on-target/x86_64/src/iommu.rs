//! The IOMMU of this machine, whichever it is.

use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_scenarios::{Directory, Yardstick};

use crate::broken::Broken;
use crate::fault::Fault;
use crate::process::PageTable;
use crate::{amd, clock, vtd};

/// The IOMMU, brought up.
#[derive(Clone, Copy)]
pub(crate) enum Iommu {
    /// It walks a table of its own, which repeats the process's mappings.
    Amd(&'static amd::Driver),
    /// It walks the process's table.
    Vtd(&'static vtd::Driver),
}

impl Iommu {
    /// Finds the machine's IOMMU and brings it up; `None` where there is none. Called once. The devices with these requester ids
    /// are refused everything until a space is attached.
    ///
    /// # Errors
    /// Those of the driver, here and below.
    pub(crate) fn find(requesters: impl Iterator<Item = u32>) -> Result<Option<Self>, Broken> {
        if let Some(capability) = amd::find() {
            return Ok(Some(Self::Amd(amd::bring_up(capability, requesters)?)));
        }
        if vtd::is_there() {
            return Ok(Some(Self::Vtd(vtd::bring_up(requesters)?)));
        }
        Ok(None)
    }

    /// What holds of a machine with it.
    pub(crate) fn yardstick(self) -> &'static Yardstick {
        match self {
            Self::Amd(_) => &Yardstick::X86_64_AMD_QEMU,
            Self::Vtd(_) => &Yardstick::X86_64_VTD_QEMU,
        }
    }

    /// As the engine is told of it.
    pub(crate) fn tlb(self) -> &'static dyn SecondaryTlb {
        match self {
            Self::Amd(driver) => driver,
            Self::Vtd(driver) => driver,
        }
    }

    /// Reserves what the devices need to share the mappings of `table`. They do not yet.
    pub(crate) fn reserve(
        self,
        requesters: &[u32],
        table: &PageTable,
    ) -> Result<AttachKey, Broken> {
        match self {
            Self::Amd(driver) => amd::reserve(driver, requesters),
            Self::Vtd(driver) => vtd::reserve(driver, requesters, table),
        }
    }

    /// Lets the devices walk.
    pub(crate) fn install(self, key: AttachKey) -> Result<(), Broken> {
        let mut patience = clock::patience();
        match self {
            Self::Amd(driver) => driver.install(key, &mut patience)?,
            Self::Vtd(driver) => driver.install(key, &mut patience)?,
        }
        Ok(())
    }

    /// Lets go of the address space.
    pub(crate) fn detach(self, key: AttachKey) -> Result<(), Broken> {
        let mut patience = clock::patience();
        match self {
            Self::Amd(driver) => driver.detach(key, &mut patience)?,
            Self::Vtd(driver) => driver.detach(key, &mut patience)?,
        }
        Ok(())
    }

    /// Does to the devices' own table, where they do not walk the process's, what was done to the process's. No TLB is told,
    /// here and below.
    pub(crate) fn mirror(self, page: usize, entry: Option<(u64, bool)>) {
        if let Self::Amd(_) = self {
            amd::mirror(page, entry);
        }
    }

    /// The same for the entry above the pages.
    pub(crate) fn mirror_directory(self, to: Directory) {
        if let Self::Amd(_) = self {
            amd::mirror_directory(to);
        }
    }

    /// The same for a table that was cleared.
    pub(crate) fn clear_mirror(self) {
        if let Self::Amd(_) = self {
            amd::clear_mirror();
        }
    }

    /// The oldest fault that it has recorded.
    pub(crate) fn next_fault(self) -> Option<Fault> {
        match self {
            Self::Amd(driver) => amd::next_fault(driver),
            Self::Vtd(_) => vtd::next_fault(),
        }
    }
}
