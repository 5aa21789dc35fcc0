//! What can go wrong while a link is set up or a process attached.

use super::config::Context;
use crate::iommu::memory::MemoryError;
use crate::secondary::{AttachKey, SecondaryError};
use core::fmt;

/// Why a link could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InitError {
    /// The register block is too short, or nobody answers there.
    NoRegisters,
    /// An invalidation is under way that somebody else has started.
    Busy,
    /// The memory for process elements cannot be used.
    Memory(MemoryError),
}

/// Why a process could not be attached or detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AttachError {
    /// No context was named, or its PASID has no place among the process elements.
    UnknownContext,
    /// The PASID is in use.
    InUse,
    /// Every slot for processes or contexts is taken.
    NoSlot,
    /// The key names no process.
    UnknownKey,
    /// The process was released.
    Released,
    /// The device or the firmware says that it could not do its part. The process element is in place, or its PASID in use, and it may
    /// be detached again.
    Host(Unfinished),
    /// The wait was ended by the caller before this was done. Nothing was undone: the process is attached, its PASIDs are in use, and
    /// it is to be detached again before its memory is reused.
    Timeout(AttachKey, Unfinished),
    /// The link has failed. Nothing was undone, as above.
    Failed(SecondaryError),
}

/// What the end of a process on a link waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unfinished {
    /// The device has not ended its accesses for this context. Its process element is valid and stays so: a device that uses an
    /// element that is not is a checkstop. If it never ends them, a reset of the link does.
    Termination(Context),
    /// The link may still use what it has cached of this context's process element.
    PeCache(Context),
    /// The nest MMU may still hold entries of the process.
    Invalidation,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegisters => f.write_str("there are no ATSD registers"),
            Self::Busy => f.write_str("the ATSD registers are in use"),
            Self::Memory(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Termination(context) => {
                write!(
                    f,
                    "PASID {:#x} has not been terminated",
                    context.pasid.raw()
                )
            }
            Self::PeCache(context) => write!(
                f,
                "the process element of PASID {:#x} may be cached",
                context.pasid.raw()
            ),
            Self::Invalidation => f.write_str("the nest MMU has not invalidated the process"),
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownContext => f.write_str("no such context"),
            Self::InUse => f.write_str("the PASID is in use"),
            Self::NoSlot => f.write_str("every slot is taken"),
            Self::UnknownKey => f.write_str("the key names no process"),
            Self::Released => f.write_str("the process was released"),
            Self::Host(what) => write!(f, "refused: {what}"),
            Self::Timeout(_, what) => write!(f, "not in time: {what}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InitError {}
impl core::error::Error for AttachError {}

impl From<MemoryError> for InitError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}
