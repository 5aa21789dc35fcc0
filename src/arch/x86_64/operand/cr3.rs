//! What MOV to CR3 takes (Intel SDM Vol 3A 2.5, 4.5.2 table 4-12, 4.10.4.1; AMD APM Vol 2 3.1.2, 5.3.2).

use super::Pcid;
use crate::address::PhysAddr;

const PCID_MASK: u64 = 0xfff;
/// Bits 51:12, the widest physical address there is.
const ROOT_MASK: u64 = 0x000f_ffff_ffff_f000;
const LAM_U57: u64 = 1 << 61;
const LAM_U48: u64 = 1 << 62;
const NO_FLUSH: u64 = 1 << 63;

/// A value for CR3: the root table, the identifier its entries are tagged with, how many address bits of a user pointer are
/// masked, and whether loading it drops what is cached under the identifier.
///
/// It drops unless [`keeping`](Self::keeping) says otherwise: forgetting the bit costs time, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Cr3(u64);

impl Cr3 {
    /// This root under PCID 0, without masking of pointers.
    pub const fn new(root: PhysAddr) -> Self {
        Self(root.raw() & ROOT_MASK)
    }

    /// What was read from the register, which reads bit 63 as 0.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The value to write.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The root table.
    pub const fn root(self) -> PhysAddr {
        PhysAddr::new(self.0 & ROOT_MASK)
    }

    /// The identifier, meaningful where `CR4.PCIDE` is set: otherwise two of these bits are the root's memory type.
    pub const fn pcid(self) -> Pcid {
        Pcid::of(crate::arch::HardwareId(self.0))
    }

    /// The same root and masking under this identifier.
    pub const fn with_pcid(self, pcid: Pcid) -> Self {
        Self(self.0 & !PCID_MASK | pcid.number() as u64)
    }

    /// Another root with everything else as it is.
    pub const fn with_root(self, root: PhysAddr) -> Self {
        Self(self.0 & !ROOT_MASK | root.raw() & ROOT_MASK)
    }

    /// User pointers are masked above bit 56 (`CR3.LAM_U57`).
    pub const fn lam_u57(self) -> Self {
        Self(self.0 | LAM_U57)
    }

    /// User pointers are masked above bit 47 (`CR3.LAM_U48`); [`lam_u57`](Self::lam_u57) wins over it.
    pub const fn lam_u48(self) -> Self {
        Self(self.0 | LAM_U48)
    }

    /// Loading it keeps what is cached under the identifier. With `CR4.PCIDE` clear this bit faults.
    pub const fn keeping(self) -> Self {
        Self(self.0 | NO_FLUSH)
    }

    /// Loading it drops what is cached under the identifier, global entries excepted.
    pub const fn dropping(self) -> Self {
        Self(self.0 & !NO_FLUSH)
    }
}
