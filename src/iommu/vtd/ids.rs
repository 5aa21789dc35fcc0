//! The numbers by which a remapping unit knows devices, their address spaces and domains.

/// A device: its PCI requester id (bus 15:8, device 7:3, function 2:0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct SourceId(pub u16);

/// One address space of a device, at most 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Pasid(u32);

impl Pasid {
    /// The entry that requests without a PASID use: what the driver sets RID_PASID to.
    pub(super) const NONE: Self = Self(0);

    /// The PASID of this number; `None` where it needs more than 20 bits.
    pub const fn new(raw: u32) -> Option<Self> {
        if raw < 1 << 20 { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// A domain: the tag that cached entries carry beside their PASID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct DomainId(pub u16);
