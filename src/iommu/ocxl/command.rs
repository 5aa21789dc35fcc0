//! What is written to the ATSD registers for one invalidation. Layout alone; the sources are those of [`registers`](super::registers).
//!
//! L (bit 18) and LP (bits 3:10) stay zero for every page size, as in both drivers that are known to run on the hardware.

use super::ids::Pid;
use super::registers::{
    AVA_MASK, LNCH_AP_SHIFT, LNCH_IS_PROCESS, LNCH_PID_SHIFT, LNCH_PROCESS_SCOPED, LNCH_RADIX,
    LNCH_RIC_ALL, LNCH_SINGLETON,
};
use crate::address::{PageSize, VirtAddr};

/// The sizes that leaf entries of a radix table have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LeafSize {
    /// 4 KiB.
    Kib4,
    /// 64 KiB.
    Kib64,
    /// 2 MiB.
    Mib2,
    /// 1 GiB.
    Gib1,
}

impl LeafSize {
    /// The leaf of this size; `None` where radix tables have none.
    pub const fn new(size: PageSize) -> Option<Self> {
        match size.shift() {
            12 => Some(Self::Kib4),
            16 => Some(Self::Kib64),
            21 => Some(Self::Mib2),
            30 => Some(Self::Gib1),
            _ => None,
        }
    }

    /// As the rest of the crate has it.
    pub const fn page_size(self) -> PageSize {
        match self {
            Self::Kib4 => PageSize::KIB_4,
            Self::Kib64 => PageSize::KIB_64,
            Self::Mib2 => PageSize::MIB_2,
            Self::Gib1 => PageSize::GIB_1,
        }
    }

    /// AP.
    const fn code(self) -> u64 {
        match self {
            Self::Kib4 => 0b000,
            Self::Kib64 => 0b101,
            Self::Mib2 => 0b001,
            Self::Gib1 => 0b010,
        }
    }
}

/// One invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Launch {
    address: Option<u64>,
    word: u64,
}

impl Launch {
    const fn new(address: Option<u64>, pid: Pid, rest: u64) -> Self {
        let common = LNCH_RADIX | LNCH_RIC_ALL | LNCH_PROCESS_SCOPED;
        Self {
            address,
            word: common | (pid.raw() as u64) << LNCH_PID_SHIFT | rest,
        }
    }

    /// The leaf entry of this size at an address, and what is cached of the way to it.
    pub const fn page(pid: Pid, address: VirtAddr, size: LeafSize) -> Self {
        let address = address.raw() & AVA_MASK;
        Self::new(Some(address), pid, size.code() << LNCH_AP_SHIFT)
    }

    /// Everything of a process.
    pub const fn process(pid: Pid) -> Self {
        Self::new(None, pid, LNCH_IS_PROCESS | LNCH_SINGLETON)
    }

    /// What to write to AVA first.
    pub const fn address(&self) -> Option<u64> {
        self.address
    }

    /// What to write to LNCH.
    pub const fn word(&self) -> u64 {
        self.word
    }
}
