//! What can go wrong while a unit is set up or an address space attached.

use crate::iommu::memory::MemoryError;
use crate::iommu::wait::Halt;
use crate::secondary::{AttachKey, SecondaryError};
use core::fmt;

/// What a unit lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unsupported {
    /// Scalable mode with first-stage translation by PASID, or the register block is too short to hold a unit.
    FirstStage,
    /// Second-stage translation.
    SecondStage,
    /// Queued invalidation.
    QueuedInvalidation,
    /// A domain of that number.
    Domain,
    /// Device TLBs.
    DeviceTlb,
    /// That many PASIDs; in legacy mode any.
    Pasids,
    /// Page requests.
    PageRequests,
    /// A physical or virtual address of that size, or a root table that is not aligned.
    AddressSize,
}

/// Why a unit could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InitError {
    /// The unit lacks something.
    Unsupported(Unsupported),
    /// Memory for the queue, the status words or a table cannot be used.
    Memory(MemoryError),
    /// It is in use already, or invalidations are outstanding.
    Busy,
    /// It did not answer in the time that the caller allowed.
    Timeout,
    /// It refused its first invalidations.
    Failed(SecondaryError),
}

/// Why a device or an address space could not be attached or detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AttachError {
    /// The unit lacks something.
    Unsupported(Unsupported),
    /// The memory for the PASID table cannot be used.
    Memory(MemoryError),
    /// The device was not added; or no context was named.
    UnknownDevice,
    /// The device was added before, or one of its contexts is in use.
    InUse,
    /// The PASID is beyond the device's table, or is 0, which stands for requests without PASID.
    UnknownContext,
    /// The key names no address space.
    UnknownKey,
    /// The address space was released.
    Released,
    /// The device was cut off after it failed to answer.
    Quarantined,
    /// Every slot for devices, address spaces or contexts is taken, or every page for context tables.
    NoSlot,
    /// The queue is too small for one shootdown of that many device TLBs.
    QueueTooSmall,
    /// A page request was lost while they were drained: the kernel restarts the page-request queue, and drains again.
    RequestsLost,
    /// The unit did not answer in the time that the caller allowed. Nothing was undone: where a key is given the address space is
    /// attached, and is to be detached (again) before its memory is reused.
    Timeout(Option<AttachKey>),
    /// The unit has failed. Nothing was undone, as above.
    Failed(SecondaryError),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstStage => "first-stage translation by PASID is not supported",
            Self::SecondStage => "second-stage translation is not supported",
            Self::QueuedInvalidation => "queued invalidation is not supported",
            Self::Domain => "a domain of that number is not supported",
            Self::DeviceTlb => "device TLBs are not supported",
            Self::Pasids => "that many PASIDs are not supported",
            Self::PageRequests => "page requests are not supported",
            Self::AddressSize => "the address size or the root's alignment is not supported",
        })
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => what.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Busy => f.write_str("the remapping unit is in use"),
            Self::Timeout => f.write_str("the remapping unit did not answer in time"),
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
            Self::QueueTooSmall => f.write_str("the invalidation queue is too small"),
            Self::RequestsLost => f.write_str("page requests were lost"),
            Self::Timeout(_) => f.write_str("the remapping unit did not answer in time"),
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
