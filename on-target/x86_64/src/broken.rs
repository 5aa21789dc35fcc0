//! How the devices and their IOMMU can fail.

use tlb_shootdown::error;
use tlb_shootdown::iommu::{amd, vtd};
use tlb_shootdown_on_target_devices::Stuck;
use tlb_shootdown_scenarios::Refusal;

use crate::fault::Fault;

/// A device or its IOMMU does not work as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The machine has no IOMMU.
    NoIommu,
    /// The machine has no `edu`.
    NoDevice,
    /// A transfer did not end.
    Stuck,
    /// The AMD IOMMU did not come up.
    AmdInit(amd::InitError),
    /// The AMD IOMMU did not take a device or an address space.
    Amd(amd::AttachError),
    /// The VT-d unit did not come up.
    VtdInit(vtd::InitError),
    /// The VT-d unit did not take a device or an address space.
    Vtd(vtd::AttachError),
    /// The engine did not take the IOMMU, or did not let go of it.
    Engine(error::AttachError),
    /// The IOMMU reported what was not asked for: another device, or another address.
    Unexpected(Fault),
    /// The window is not what it should be.
    Window(Refusal),
}

impl From<Stuck> for Broken {
    fn from(_: Stuck) -> Self {
        Self::Stuck
    }
}

impl From<amd::InitError> for Broken {
    fn from(error: amd::InitError) -> Self {
        Self::AmdInit(error)
    }
}

impl From<amd::AttachError> for Broken {
    fn from(error: amd::AttachError) -> Self {
        Self::Amd(error)
    }
}

impl From<vtd::InitError> for Broken {
    fn from(error: vtd::InitError) -> Self {
        Self::VtdInit(error)
    }
}

impl From<vtd::AttachError> for Broken {
    fn from(error: vtd::AttachError) -> Self {
        Self::Vtd(error)
    }
}

impl From<error::AttachError> for Broken {
    fn from(error: error::AttachError) -> Self {
        Self::Engine(error)
    }
}
