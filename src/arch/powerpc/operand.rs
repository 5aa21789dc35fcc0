//! What `tlbie` and `tlbiel` find in RB and RS (Power ISA 3.0B and 3.1B, Book III 6.9.3.3, "TLB Invalidate Entry").
//!
//! The manual numbers bits from the left: its bit n is bit 63 - n here. RB is EPN\[0:51\] or, of `tlbiel`, the set in its lowest bits,
//! IS\[52:53\], AP\[56:58\]; RS is PID\[0:31\] and LPID\[32:63\].

use crate::address::{PageSize, VirtAddr};
use crate::arch::HardwareId;

/// IS\[52:53\]: by PID, by LPID, all.
const IS_PID: u64 = 1 << 10;
const IS_LPID: u64 = 2 << 10;
const IS_ALL: u64 = 3 << 10;
const AP_SHIFT: u32 = 5;
const SET_SHIFT: u32 = 12;
const PID_SHIFT: u32 = 32;

/// An address that no table maps, as the target of an invalidation that only has to be one.
pub const UNUSED: VirtAddr = VirtAddr::new((1 << 52) - 1);

/// A page size that radix tables have, with its coding in AP (`ibm,processor-radix-AP-encodings` of every machine so far).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Page {
    /// 4 KiB.
    Kib4,
    /// 64 KiB.
    Kib64,
    /// 2 MiB.
    Mib2,
    /// 1 GiB.
    Gib1,
}

impl Page {
    /// All, by size.
    pub const ALL: [Self; 4] = [Self::Kib4, Self::Kib64, Self::Mib2, Self::Gib1];

    /// The page of this size, where there is one.
    pub fn of(size: PageSize) -> Option<Self> {
        Self::ALL.into_iter().find(|page| page.size() == size)
    }

    /// Its size.
    pub const fn size(self) -> PageSize {
        match self {
            Self::Kib4 => PageSize::KIB_4,
            Self::Kib64 => PageSize::KIB_64,
            Self::Mib2 => PageSize::MIB_2,
            Self::Gib1 => PageSize::GIB_1,
        }
    }

    const fn ap(self) -> u64 {
        match self {
            Self::Kib4 => 0,
            Self::Mib2 => 1,
            Self::Gib1 => 2,
            Self::Kib64 => 5,
        }
    }
}

/// RB by address: the entry of exactly this page size that translates the address.
pub const fn by_address(addr: VirtAddr, page: Page) -> u64 {
    addr.raw() & !0xfff | page.ap() << AP_SHIFT
}

/// RB by PID: everything of the process in RS; of `tlbiel` on ISA 3.0, in one set.
pub const fn by_pid(set: u64) -> u64 {
    set << SET_SHIFT | IS_PID
}

/// RB by LPID: everything of the partition.
pub const fn by_lpid(set: u64) -> u64 {
    set << SET_SHIFT | IS_LPID
}

/// RB for everything.
pub const fn all(set: u64) -> u64 {
    set << SET_SHIFT | IS_ALL
}

/// RS of a process of this partition. What the identifier's coding has above the PID is shifted out.
pub const fn of_process(id: HardwareId) -> u64 {
    id.0 << PID_SHIFT
}

/// RS of a partition.
pub const fn of_partition(lpid: u32) -> u64 {
    lpid as u64
}
