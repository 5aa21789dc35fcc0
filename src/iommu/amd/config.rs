//! What the kernel decides.

use super::ids::{DeviceId, Pasid};
use crate::address::PhysAddr;
use crate::dma::DmaRegion;

/// How long a device may take to answer an invalidation before the IOMMU reports it (InvTimeOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DeviceTimeout {
    /// 1 ms.
    Ms1 = 1,
    /// 10 ms.
    Ms10 = 2,
    /// 100 ms.
    Ms100 = 3,
    /// 1 s.
    S1 = 4,
    /// 10 s.
    S10 = 5,
}

/// The levels of the CPUs' page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CpuLevels {
    /// 48-bit addresses.
    Four = 4,
    /// 57-bit addresses (CR4.LA57).
    Five = 5,
}

/// How an IOMMU is to be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The first doubleword of the IOMMU's PCI capability (id 0x0f), which says whether devices' TLBs are served and whether there
    /// are extended features.
    pub capability: u32,
    /// The levels of process tables.
    pub cpu_levels: CpuLevels,
    /// When a silent device is reported. The engine's deadline for a shootdown should be longer, or the time-out has no name.
    pub device_timeout: DeviceTimeout,
    /// SNP is enabled. Completions are then stored within one page of their own, and process tables cannot be shared.
    pub snp: bool,
    /// Process tables also lead to the kernel's own, so that freeing those concerns the IOMMU.
    pub kernel_tables: bool,
    /// Claims that the IOMMU and every device behind it walk the tables anew before they report a missing right. A device that keeps a
    /// cached entry with too few rights then faults for ever; nothing in the architecture lets the driver find out.
    pub rewalks: bool,
    /// Raise an interrupt for each event, for [`Iommu::on_interrupt`](super::Iommu::on_interrupt).
    pub event_interrupt: bool,
}

impl Config {
    /// Four levels, one second for devices, no SNP, kernel tables shared, upgrades told, no interrupts.
    pub const fn new(capability: u32) -> Self {
        Self {
            capability,
            cpu_levels: CpuLevels::Four,
            device_timeout: DeviceTimeout::S1,
            snp: false,
            kernel_tables: true,
            rewalks: false,
            event_interrupt: false,
        }
    }
}

/// The memory of one IOMMU, each region 4 KiB aligned but for the last. Lengths need not be exact: buffers are used up to the
/// largest power of two that fits, the device table up to the last whole page.
#[derive(Debug)]
pub struct Memory {
    /// The command buffer: 16 bytes for each of 256 to 32768 entries.
    pub commands: DmaRegion,
    /// The device table: 32 bytes for each device number from 0 on, in whole pages; 2 MiB for all of them.
    pub devices: DmaRegion,
    /// The event log: 16 bytes for each of 256 to 32768 entries. Needed where devices have TLBs: their silence is told there alone.
    pub events: Option<DmaRegion>,
    /// The word that completions are stored to: 8 bytes, aligned to 8; with [`Config::snp`] a whole page.
    pub completion: DmaRegion,
}

/// How a device's accesses are translated.
#[derive(Debug)]
pub enum DeviceKind {
    /// By one host table, for all of its accesses.
    Host,
    /// By a process table for each PASID.
    Pasid {
        /// Its GCR3 table: [`gcr3_len`](super::gcr3_len) bytes, 4 KiB aligned.
        gcr3: DmaRegion,
        /// Bits of its PASIDs, at least 1.
        pasid_bits: u8,
        /// Refuse its accesses without a PASID. Otherwise they reach memory untranslated, as a device that the kernel programs with
        /// physical addresses needs it. Needs EFR.GIOSup.
        refuse_untagged: bool,
    },
}

/// One device that is to be translated. A device whose requests arrive under an alias as well is added once for each number.
#[derive(Debug)]
pub struct DeviceSetup {
    /// The device.
    pub device: DeviceId,
    /// How it is translated.
    pub kind: DeviceKind,
    /// For a device whose own TLB is enabled: how many invalidations it takes at once (Invalidate Queue Depth of its ATS capability, where
    /// 0 stands for 32), 1 to 32.
    pub ats: Option<u8>,
}

/// Where in a device an address space is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Context {
    /// The device.
    pub device: DeviceId,
    /// Its PASID, not 0, which stands for accesses without one; `None` for a device translated by a host table.
    pub pasid: Option<Pasid>,
}

/// The tables of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Translation {
    /// A process's page table as the CPUs walk it, for contexts with a PASID.
    Process {
        /// The root table (CR3 without its flags).
        root: PhysAddr,
    },
    /// A table in the IOMMU's own format, which the kernel keeps for the address space, for contexts without a PASID.
    Host {
        /// The root table.
        root: PhysAddr,
        /// Its levels: 1 to what the IOMMU walks.
        levels: u8,
    },
}
