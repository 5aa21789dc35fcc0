//! The numbers by which an AMD IOMMU knows devices, their address spaces and its own cache tags.

/// A device as the IOMMU sees it: the PCI requester id, or its alias where the bridge above it rewrites it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct DeviceId(pub u16);

/// A process address space identifier of PCI, at most 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Pasid(u32);

impl Pasid {
    /// The PASID of this number; `None` where it needs more than 20 bits.
    pub const fn new(raw: u32) -> Option<Self> {
        if raw < 1 << 20 { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// The tag of what the IOMMU caches for devices that share their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct DomainId(pub u16);
