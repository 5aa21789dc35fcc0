//! What the kernel decides.

use super::ids::{DomainId, Pasid, SourceId};
use super::registers::{NARROW_SHIFT, WIDE_SHIFT};
use crate::address::PhysAddr;
use crate::dma::DmaRegion;

/// How a unit finds page tables, and with that the width of its queue's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// CPUs' page tables by PASID, and descriptors of 256 bits. Needs ECAP.SMTS and ECAP.FLTS.
    Scalable,
    /// One second-stage table for each device, no PASIDs, and descriptors of 128 bits: what every unit can.
    Legacy,
}

impl Mode {
    /// log2 of the bytes of one queue entry.
    pub(super) const fn entry_shift(self) -> u32 {
        match self {
            Self::Scalable => WIDE_SHIFT,
            Self::Legacy => NARROW_SHIFT,
        }
    }

    /// 64-bit words of one queue entry.
    pub(super) const fn entry_words(self) -> usize {
        1 << (self.entry_shift() - 3)
    }
}

/// How a remapping unit is to be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the unit's tables are to be.
    pub mode: Mode,
    /// The domain of every address space with a PASID, which tells them apart; address spaces without one take the numbers above it. Not 0,
    /// which caching mode takes for entries that are not present.
    pub domain: DomainId,
    /// The page tables' roots also lead to kernel tables, so that freeing those concerns the devices. So it is on x86-64 with one root
    /// for both halves. Has no effect in [`Mode::Legacy`], whose tables are the devices' own.
    pub kernel_tables: bool,
    /// The unit and every device behind it walk the tables anew before they report a fault, so that permission upgrades need not be
    /// told. Real units do; QEMU's refuses writes through a cached read-only entry silently. A device TLB gives no such guarantee.
    pub rewalks: bool,
    /// Puts a wait descriptor with SW and FN between the invalidations of the unit's TLB and those of device TLBs, for units that
    /// do not hold the latter back by themselves. Costs one more wait in each submission with device TLBs.
    pub wait_before_device_tlbs: bool,
}

impl Config {
    /// Scalable mode, domain 1, kernel tables shared, upgrades told, no additional waits.
    pub const fn new() -> Self {
        Self {
            mode: Mode::Scalable,
            domain: DomainId(1),
            kernel_tables: true,
            rewalks: false,
            wait_before_device_tlbs: false,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory of one remapping unit. Every region starts at a page of 4 KiB.
#[derive(Debug)]
pub struct Memory {
    /// The invalidation queue, from one page to 128 pages: 32 bytes for each entry, in [`Mode::Legacy`] 16; used up to the largest power
    /// of two.
    pub queue: DmaRegion,
    /// The words that wait descriptors write: 8 bytes for each entry of the queue. Coherent with the unit, always.
    pub status: DmaRegion,
    /// The root table: one page.
    pub root: DmaRegion,
    /// Context tables: one page for each half bus (128 functions) with devices, in [`Mode::Legacy`] for each bus.
    pub contexts: DmaRegion,
}

/// A device with a TLB of its own, enabled in its ATS capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeviceTlb {
    /// Invalidate Queue Depth of its ATS capability.
    pub queue_depth: u8,
    /// The physical function, for a virtual one; otherwise the device itself.
    pub physical_function: SourceId,
    /// Each of its invalidations is issued twice: for devices that may lose one that races with a translation in flight.
    pub flush_twice: bool,
}

/// One device that is to be translated.
#[derive(Debug)]
pub struct DeviceSetup {
    /// The device.
    pub device: SourceId,
    /// Its PASID table: [`pasid_table_bytes`](super::pasid_table_bytes) bytes. None in [`Mode::Legacy`], and there alone.
    pub pasids: Option<DmaRegion>,
    /// log2 of the number of PASIDs; 0 for a device without them.
    pub pasid_bits: u8,
    /// Its own TLB, where that is enabled.
    pub device_tlb: Option<DeviceTlb>,
    /// Its page requests are reported. Needs ECAP.PRS.
    pub page_requests: bool,
}

/// Where in a device an address space is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Context {
    /// The device.
    pub device: SourceId,
    /// Its PASID; `None` for requests without one, which use entry 0 of its table (RID_PASID).
    pub pasid: Option<Pasid>,
}

/// How many levels a page table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Levels {
    /// 39-bit addresses: second-stage tables alone.
    Three,
    /// 48-bit addresses.
    Four,
    /// 57-bit addresses (CR4.LA57).
    Five,
}

/// A page table as the unit is to walk it: a CPU's in [`Mode::Scalable`], with U/S set in entries for devices, for supervisor requests are
/// not enabled; in [`Mode::Legacy`] one in the unit's own second-stage format (VT-d 9.8), which the kernel keeps for the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslationConfig {
    /// The root table: for a CPU's CR3 without its low bits.
    pub root: PhysAddr,
    /// As the CPUs have it, or those of the second-stage table: one of [`Features::second_stage`](super::features::Features::second_stage).
    pub levels: Levels,
}
