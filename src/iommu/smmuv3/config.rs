//! What the kernel decides.

use super::ids::{Asid, Granule, StreamId, SubstreamId};
use super::registers::Interrupts;
use crate::address::PhysAddr;
use crate::dma::DmaRegion;

/// The exception level whose translations the devices share, which decides the TLBI commands and STE.STRW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Regime {
    /// The kernel runs at EL1: TLBI_NH_VA and TLBI_NH_ASID with VMID 0.
    El1,
    /// The kernel runs at EL2 with VHE (HCR_EL2.E2H): TLBI_EL2_VA and TLBI_EL2_ASID. Needs IDR0.Hyp.
    El2Host,
}

/// How the completion of a CMD_SYNC is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Completion {
    /// By reading CMDQ_CONS.
    Poll,
    /// By reading CMDQ_CONS, and the SMMU wakes CPUs that wait in WFE. Needs IDR0.SEV.
    Sev,
    /// By reading a word of memory that the SMMU writes; CMDQ_CONS is not read while all goes well. Needs IDR0.MSI and coherent
    /// memory. After an aborted message the driver goes on by reading CMDQ_CONS.
    Msi,
}

/// How an SMMU is to be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whose translations the devices share.
    pub regime: Regime,
    /// How completion is noticed.
    pub completion: Completion,
    /// Every CFGI and TLBI is issued twice, each time with its CMD_SYNC: for implementations where an entry can survive an
    /// invalidation that races with traffic (NVIDIA T264). Not discoverable from registers.
    pub repeat_invalidations: bool,
    /// Let the SMMU follow the CPUs' broadcast invalidations for address spaces with a shared ASID. Needs
    /// [`Features::broadcast`](super::features::Features::broadcast) and, in the kernel, ASIDs that stay with their process
    /// for as long as it is attached.
    pub broadcast: bool,
    /// The page tables' roots also lead to kernel tables, so that freeing those concerns the SMMU. Not so on AArch64 with the
    /// kernel in TTBR1, which devices do not walk.
    pub kernel_tables: bool,
    /// The interrupts to enable.
    pub interrupts: Interrupts,
}

impl Config {
    /// EL1, completion by polling, private ASIDs, no interrupts.
    pub const fn new() -> Self {
        Self {
            regime: Regime::El1,
            completion: Completion::Poll,
            repeat_invalidations: false,
            broadcast: false,
            kernel_tables: false,
            interrupts: Interrupts::empty(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory of one SMMU. Lengths need not be exact: each region is used up to the largest power of two that fits in it, and
/// is aligned to that size.
#[derive(Debug)]
pub struct Memory {
    /// The command queue: 16 bytes for each entry, at least 8 entries (16 with [`Config::repeat_invalidations`]).
    pub commands: DmaRegion,
    /// The linear stream table: 64 bytes for each stream number from 0 on.
    pub streams: DmaRegion,
    /// The event queue: 32 bytes for each entry; `None` to record no events. Memory that is not coherent with the SMMU has to be
    /// mapped uncached, because the driver only reads it.
    pub events: Option<DmaRegion>,
    /// The word for [`Completion::Msi`]: 8 bytes.
    pub message: Option<DmaRegion>,
}

/// One device that is to be translated.
#[derive(Debug)]
pub struct StreamSetup {
    /// The device.
    pub stream: StreamId,
    /// Its context descriptors: 64 bytes for each of `1 << substream_bits`, aligned to their size.
    pub contexts: DmaRegion,
    /// log2 of the number of substreams; 0 for a device without them, with one context.
    pub substream_bits: u8,
    /// For a device whose own TLB is enabled: log2 in bytes of the smallest translation unit (STU) programmed into its ATS
    /// capability, at least 12.
    pub ats: Option<u8>,
}

/// Where in a device an address space is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Context {
    /// The device.
    pub stream: StreamId,
    /// Its substream; `None` for traffic without one (context descriptor 0).
    pub substream: Option<SubstreamId>,
}

/// How one kind of access to the page tables is cached: CD.IR0, CD.OR0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cacheability {
    /// Not at all.
    NonCacheable = 0,
    /// Write-back, read- and write-allocate.
    WriteBack = 1,
    /// Write-through.
    WriteThrough = 2,
    /// Write-back without write-allocate.
    WriteBackNoAllocate = 3,
}

/// The shareability of table walks: CD.SH0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Shareability {
    /// Not shared.
    NonShareable = 0,
    /// Outer shareable.
    Outer = 2,
    /// Inner shareable.
    Inner = 3,
}

/// Who maintains access flags and dirty state in the page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TableUpdates {
    /// Software; an access through an entry without its access flag faults.
    Software,
    /// The SMMU sets access flags.
    AccessFlag,
    /// The SMMU sets access flags and dirty state.
    AccessFlagAndDirty,
}

/// A CPU's page table as the SMMU is to walk it: the values of TTBR0, TCR and MAIR that the CPUs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslationConfig {
    /// The root table.
    pub root: PhysAddr,
    /// TCR.T0SZ: 64 less the bits of a virtual address; 16 to 39 (12 and up with 64 KiB granules).
    pub t0sz: u8,
    /// TCR.TG0.
    pub granule: Granule,
    /// TCR.IPS: 0 for 32 bits of physical address up to 6 for 52.
    pub ips: u8,
    /// MAIR.
    pub mair: u64,
    /// TCR.SH0.
    pub shareability: Shareability,
    /// TCR.IRGN0.
    pub inner: Cacheability,
    /// TCR.ORGN0.
    pub outer: Cacheability,
    /// TCR.HA and TCR.HD.
    pub updates: TableUpdates,
    /// The ASID under which the SMMU's TLBs hold it.
    pub asid: AsidSource,
}

/// Where an address space's ASID in the SMMU comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AsidSource {
    /// The driver picks one of its own (CD.ASET = 1): broadcasts are not relied on.
    Private,
    /// The CPUs' ASID, pinned for as long as the address space is attached (CD.ASET = 0): TLBI commands are left out, because the
    /// CPUs' broadcasts do their work. The pin is taken before the place is reserved, and given back after [`Smmu::detach`](super::Smmu::detach): an
    /// ASID that moves at a rollover leaves entries that no broadcast names any more. One key per address space and SMMU, with
    /// all its contexts. Needs [`Config::broadcast`].
    Shared(Asid),
}
