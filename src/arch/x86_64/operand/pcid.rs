//! Process-context identifiers (Intel SDM Vol 3A 4.10.1; AMD APM Vol 2 5.5.1).

use crate::arch::HardwareId;

/// A process-context identifier: 12 bits. Number 0 is the only one there is while `CR4.PCIDE` is clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct Pcid(u16);

impl Pcid {
    /// The largest number.
    pub const MAX: u16 = 0xfff;
    /// Under KPTI a process has two identifiers, and its own half runs under the one with this bit.
    const USER: u16 = 1 << 11;

    /// The identifier with this number; `None` beyond 12 bits.
    pub const fn new(number: u16) -> Option<Self> {
        if number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Bits 11:0 of an identifier as the engine carries it.
    pub const fn of(id: HardwareId) -> Self {
        Self((id.0 & Self::MAX as u64) as u16)
    }

    /// The identifier under which the process itself runs where the kernel is unmapped meanwhile: bit 11 set.
    pub const fn user(self) -> Self {
        Self(self.0 | Self::USER)
    }

    /// The number, 0 to 4095.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl From<Pcid> for HardwareId {
    fn from(pcid: Pcid) -> Self {
        Self(u64::from(pcid.0))
    }
}
