//! How the devices and their IOMMU can fail.

use tlb_shootdown::error;
use tlb_shootdown::iommu::smmuv3::{self, Event, InitError};
use tlb_shootdown_on_target_devices::Stuck;
use tlb_shootdown_scenarios::Refusal;

/// A device or its IOMMU does not work as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The machine has no `edu`.
    NoDevice,
    /// A transfer did not end.
    Stuck,
    /// The SMMU did not come up.
    Init(InitError),
    /// The SMMU did not take a device or an address space.
    Smmu(smmuv3::AttachError),
    /// The engine did not take the SMMU, or did not let go of it.
    Engine(error::AttachError),
    /// The SMMU reported what was not asked for: another stream, or another address.
    Unexpected(Event),
    /// The window is not what it should be.
    Window(Refusal),
}

impl From<Stuck> for Broken {
    fn from(_: Stuck) -> Self {
        Self::Stuck
    }
}

impl From<InitError> for Broken {
    fn from(error: InitError) -> Self {
        Self::Init(error)
    }
}

impl From<smmuv3::AttachError> for Broken {
    fn from(error: smmuv3::AttachError) -> Self {
        Self::Smmu(error)
    }
}

impl From<error::AttachError> for Broken {
    fn from(error: error::AttachError) -> Self {
        Self::Engine(error)
    }
}
