//! The descriptor and the types of INVPCID (Intel SDM Vol 2A, "INVPCID"; AMD APM Vol 3, "INVPCID").

use super::Pcid;
use crate::address::VirtAddr;

/// What is invalidated; the register operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u64)]
pub enum Type {
    /// One address under one identifier. Global entries may stay.
    Address = 0,
    /// Everything under one identifier. Global entries may stay.
    Space = 1,
    /// Everything under all identifiers, global entries included.
    All = 2,
    /// Everything under all identifiers. Global entries may stay.
    AllButGlobal = 3,
}

/// Both operands: the register, and the 128 bits in memory as two little-endian quadwords, PCID\[11:0\] and the linear address.
///
/// Bits 63:12 of the first must be zero, and the address canonical wherever it is looked at; either mistake is a fault. With
/// `CR4.PCIDE` clear, types 0 and 1 fault for every PCID but 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Invpcid {
    kind: Type,
    descriptor: [u64; 2],
}

impl Invpcid {
    /// This address under this identifier.
    pub const fn address(pcid: Pcid, addr: VirtAddr) -> Self {
        Self {
            kind: Type::Address,
            descriptor: [pcid.number() as u64, addr.raw()],
        }
    }

    /// Everything under this identifier, global entries excepted.
    pub const fn space(pcid: Pcid) -> Self {
        Self {
            kind: Type::Space,
            descriptor: [pcid.number() as u64, 0],
        }
    }

    /// Everything.
    pub const fn all() -> Self {
        Self {
            kind: Type::All,
            descriptor: [0, 0],
        }
    }

    /// Everything but global entries.
    pub const fn all_but_global() -> Self {
        Self {
            kind: Type::AllButGlobal,
            descriptor: [0, 0],
        }
    }

    /// The register operand.
    pub const fn kind(&self) -> Type {
        self.kind
    }

    /// The memory operand.
    pub const fn descriptor(&self) -> [u64; 2] {
        self.descriptor
    }
}
