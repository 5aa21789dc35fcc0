//! The numbers by which an SMMU knows devices, their contexts and address spaces.

/// A stream: one device as the SMMU sees it (for PCI usually the requester id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct StreamId(pub u32);

/// A substream: one address space of a device (for PCI the PASID), at most 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct SubstreamId(u32);

impl SubstreamId {
    /// The substream of this number; `None` where it needs more than 20 bits.
    pub const fn new(raw: u32) -> Option<Self> {
        if raw < 1 << 20 { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// An address-space identifier in the SMMU's TLBs. On an SMMU with 8-bit ids the upper half must be 0: a command with other
/// bits there may do nothing, without an error (IHI 0070 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Asid(pub u16);

/// A virtual-machine identifier; 0 for the host's own stage 1 translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Vmid(pub u16);

/// The translation granule of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Granule {
    /// 4 KiB.
    Kib4,
    /// 16 KiB.
    Kib16,
    /// 64 KiB.
    Kib64,
}

impl Granule {
    /// log2 of the granule in bytes.
    pub const fn shift(self) -> u8 {
        match self {
            Self::Kib4 => 12,
            Self::Kib16 => 14,
            Self::Kib64 => 16,
        }
    }

    /// Address bits that one level of tables resolves.
    pub const fn level_bits(self) -> u8 {
        self.shift() - 3
    }
}
