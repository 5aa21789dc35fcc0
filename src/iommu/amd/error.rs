//! What can go wrong while an IOMMU is set up or an address space attached.

use crate::iommu::memory::MemoryError;
use crate::iommu::wait::Halt;
use crate::secondary::{AttachKey, SecondaryError};
use core::fmt;

/// What an implementation lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unsupported {
    /// The register block is too short to hold an AMD IOMMU.
    Registers,
    /// SNP, which the kernel says is enabled.
    Snp,
    /// Process tables while SNP is enabled.
    PasidUnderSnp,
    /// Translation by PASID.
    GuestTranslation,
    /// Page requests, without which a process's pages would have to be pinned.
    PageRequests,
    /// That many bits of PASID.
    PasidBits,
    /// Tables of that many levels.
    Levels,
    /// Refusing accesses without a PASID.
    RefuseUntagged,
    /// Device TLBs.
    DeviceTlbs,
    /// Device TLBs without an event log, which alone tells of a silent device.
    DeviceTlbsWithoutEvents,
    /// A root that is not aligned or lies beyond 2^52.
    Root,
}

/// Why an IOMMU could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InitError {
    /// The implementation lacks something.
    Unsupported(Unsupported),
    /// Memory for the command buffer, the device table, the event log or the completions cannot be used.
    Memory(MemoryError),
    /// It is in use already, or commands are outstanding.
    Busy,
    /// It did not answer in the time that the caller allowed.
    Timeout,
    /// It refused its first commands.
    Failed(SecondaryError),
}

/// Why a device or an address space could not be attached or detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AttachError {
    /// The implementation lacks something.
    Unsupported(Unsupported),
    /// The memory for the GCR3 table cannot be used.
    Memory(MemoryError),
    /// The device number is beyond the device table, or the device was not added; or no context was named.
    UnknownDevice,
    /// The device was added before, or one of its contexts is in use.
    InUse,
    /// The PASID is 0 or beyond the device's GCR3 table, or the context is not of the device's kind or the translation's.
    UnknownContext,
    /// The key names no address space.
    UnknownKey,
    /// The address space was released.
    Released,
    /// The device was cut off after it failed to answer.
    Quarantined,
    /// Every slot for devices, address spaces or contexts is taken.
    NoSlot,
    /// Every domain id is in use.
    NoDomain,
    /// The command buffer is too small for one shootdown of that many device TLBs.
    QueueTooSmall,
    /// The IOMMU did not answer in the time that the caller allowed. Nothing was undone: where a key is given the address
    /// space is attached, and is to be detached (again) before its memory is reused.
    Timeout(Option<AttachKey>),
    /// The IOMMU has failed. Nothing was undone, as above.
    Failed(SecondaryError),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registers => "the register block is too short",
            Self::Snp => "SNP is not supported",
            Self::PasidUnderSnp => "process tables cannot be shared while SNP is enabled",
            Self::GuestTranslation => "translation by PASID is not supported",
            Self::PageRequests => "page requests are not supported",
            Self::PasidBits => "that many bits of PASID are not supported",
            Self::Levels => "tables of that many levels are not supported",
            Self::RefuseUntagged => "refusing accesses without a PASID is not supported",
            Self::DeviceTlbs => "device TLBs are not supported",
            Self::DeviceTlbsWithoutEvents => "device TLBs need an event log",
            Self::Root => "the root table's address is not supported",
        })
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => what.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Busy => f.write_str("the IOMMU is in use"),
            Self::Timeout => f.write_str("the IOMMU did not answer in time"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => what.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::UnknownDevice => f.write_str("no such device"),
            Self::InUse => f.write_str("the device or context is in use"),
            Self::UnknownContext => f.write_str("no such context"),
            Self::UnknownKey => f.write_str("the key names no address space"),
            Self::Released => f.write_str("the address space was released"),
            Self::Quarantined => f.write_str("the device has been cut off"),
            Self::NoSlot => f.write_str("every slot is taken"),
            Self::NoDomain => f.write_str("no domain id is free"),
            Self::QueueTooSmall => f.write_str("the command buffer is too small"),
            Self::Timeout(_) => f.write_str("the IOMMU did not answer in time"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Unsupported {}
impl core::error::Error for InitError {}
impl core::error::Error for AttachError {}

impl From<Unsupported> for InitError {
    fn from(what: Unsupported) -> Self {
        Self::Unsupported(what)
    }
}

impl From<MemoryError> for InitError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<Unsupported> for AttachError {
    fn from(what: Unsupported) -> Self {
        Self::Unsupported(what)
    }
}

impl From<MemoryError> for AttachError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<Halt> for InitError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Timeout => Self::Timeout,
            Halt::Failed(error) => Self::Failed(error),
        }
    }
}

impl AttachError {
    /// What a wait ended with, while the address space that `key` names was attached or detached.
    pub(super) const fn halted(halt: Halt, key: Option<AttachKey>) -> Self {
        match halt {
            Halt::Timeout => Self::Timeout(key),
            Halt::Failed(error) => Self::Failed(error),
        }
    }
}
