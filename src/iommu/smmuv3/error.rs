//! What can go wrong while an SMMU is set up or an address space attached.

use crate::iommu::memory::MemoryError;
use crate::iommu::wait::Halt;
use crate::secondary::{AttachKey, SecondaryError};
use core::fmt;

/// What an implementation lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unsupported {
    /// Stage 1 translation through AArch64 tables, or the register block is too short to hold an SMMU.
    Stage1,
    /// EL2 translations.
    El2,
    /// Completion by message: IDR0.MSI, or coherent memory.
    Msi,
    /// Completion by event.
    Sev,
    /// Following broadcast invalidations, or it was not asked for at set-up.
    Broadcast,
    /// Device TLBs.
    Ats,
    /// That many substreams.
    Substreams,
    /// The granule.
    Granule,
    /// A physical or virtual address of that size, or a root table that is not aligned.
    AddressSize,
    /// Updating access flags or dirty state.
    TableUpdates,
}

/// Why an SMMU could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InitError {
    /// The implementation lacks something.
    Unsupported(Unsupported),
    /// Memory for the command queue, the stream table, the event queue or the message cannot be used.
    Memory(MemoryError),
    /// The command queue is too small for one shootdown.
    QueueTooSmall,
    /// It is in use already, or commands are outstanding.
    Busy,
    /// It did not answer in the time that the caller allowed.
    Timeout,
    /// It refused its first commands.
    Failed(SecondaryError),
}

/// Why a stream or an address space could not be attached or detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AttachError {
    /// The implementation lacks something.
    Unsupported(Unsupported),
    /// The memory for the context descriptors cannot be used.
    Memory(MemoryError),
    /// The stream number is beyond the stream table, or the stream was not added; or no context was named.
    UnknownStream,
    /// The stream was added before, or one of its contexts is in use.
    InUse,
    /// The context number is beyond the stream's context table, or names context 0 as a substream.
    UnknownContext,
    /// The key names no address space.
    UnknownKey,
    /// The address space was released.
    Released,
    /// The device was cut off after it failed to answer.
    Quarantined,
    /// Every slot for streams, address spaces or contexts is taken.
    NoSlot,
    /// Every ASID is in use, or the shared one is.
    AsidInUse,
    /// The command queue is too small for one shootdown of that many device TLBs.
    QueueTooSmall,
    /// The SMMU did not answer in the time that the caller allowed. Nothing was undone: where a key is given the address
    /// space is attached, and is to be detached (again) before its memory is reused.
    Timeout(Option<AttachKey>),
    /// The SMMU has failed. Nothing was undone, as above.
    Failed(SecondaryError),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stage1 => "stage 1 translation is not supported",
            Self::El2 => "EL2 translation is not supported",
            Self::Msi => "completion by message is not supported",
            Self::Sev => "completion by event is not supported",
            Self::Broadcast => "broadcast invalidation is not supported or not enabled",
            Self::Ats => "device TLBs are not supported",
            Self::Substreams => "that many substreams are not supported",
            Self::Granule => "the granule is not supported",
            Self::AddressSize => "the address size or the root's alignment is not supported",
            Self::TableUpdates => "hardware updates of page tables are not supported",
        })
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => what.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::QueueTooSmall => f.write_str("the command queue is too small"),
            Self::Busy => f.write_str("the SMMU is in use"),
            Self::Timeout => f.write_str("the SMMU did not answer in time"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => what.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::UnknownStream => f.write_str("no such stream"),
            Self::InUse => f.write_str("the stream or context is in use"),
            Self::UnknownContext => f.write_str("no such context"),
            Self::UnknownKey => f.write_str("the key names no address space"),
            Self::Released => f.write_str("the address space was released"),
            Self::Quarantined => f.write_str("the device has been cut off"),
            Self::NoSlot => f.write_str("every slot is taken"),
            Self::AsidInUse => f.write_str("no ASID is free"),
            Self::QueueTooSmall => f.write_str("the command queue is too small"),
            Self::Timeout(_) => f.write_str("the SMMU did not answer in time"),
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
