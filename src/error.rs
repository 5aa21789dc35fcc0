//! How a shootdown can fail: what was refused, and who has not answered.

use crate::address::RangeError;
use crate::arch::IdError;
use crate::cpu_set::CpuSet;
use crate::secondary::SecondaryError;
use core::fmt;

/// Why a flush was refused. Nothing was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refused {
    /// The range holds addresses that cannot be flushed here.
    Range(RangeError),
    /// The space has been retired, or is being retired.
    Retired,
    /// The executing CPU is beyond the capacity of the CPU sets, or has not come online where it must have.
    UnknownCpu,
    /// Called from within a call to a secondary TLB on this CPU, which the call would wait for.
    FromCallback,
    /// A batch holds changes of the space that are not flushed yet: flush the batch first.
    Deferred,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(error) => error.fmt(f),
            Self::Retired => f.write_str("the address space has been retired"),
            Self::UnknownCpu => f.write_str("this CPU has not come online"),
            Self::FromCallback => f.write_str("called from within a secondary TLB"),
            Self::Deferred => f.write_str("a batch holds changes of the address space"),
        }
    }
}

impl core::error::Error for Refused {}

impl From<RangeError> for Refused {
    fn from(error: RangeError) -> Self {
        Self::Range(error)
    }
}

/// Who had not answered when the deadline passed, or answered with an error. Old translations may still be in use there:
/// the memory behind them must be neither freed nor given to anybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Incomplete<const WORDS: usize> {
    /// CPUs that have not acknowledged.
    pub cpus: CpuSet<WORDS>,
    /// Bit `n`: the secondary TLB in place `n` has not completed.
    pub secondaries: u32,
    /// The first error that a secondary TLB reported; without one, the deadline passed.
    pub error: Option<SecondaryError>,
}

impl<const WORDS: usize> Incomplete<WORDS> {
    /// Everybody has answered.
    pub(crate) const fn by_nobody() -> Self {
        Self::by_all(CpuSet::EMPTY)
    }

    /// None of these CPUs is known to have done anything.
    pub(crate) const fn by_all(cpus: CpuSet<WORDS>) -> Self {
        Self {
            cpus,
            secondaries: 0,
            error: None,
        }
    }
}

impl<const WORDS: usize> fmt::Display for Incomplete<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unanswered by CPUs {:?}, secondary TLBs {:#b}",
            self.cpus, self.secondaries
        )?;
        match self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl<const WORDS: usize> core::error::Error for Incomplete<WORDS> {}

/// Why a `flush_*` call did not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlushError<const WORDS: usize> {
    /// Nothing was issued.
    Refused(Refused),
    /// Issued, and not answered by everybody. To wait on or to escalate, use the `start_*` form, whose ticket stays.
    Incomplete(Incomplete<WORDS>),
}

impl<const WORDS: usize> fmt::Display for FlushError<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Incomplete(incomplete) => incomplete.fmt(f),
        }
    }
}

impl<const WORDS: usize> core::error::Error for FlushError<WORDS> {}

impl<const WORDS: usize> From<Refused> for FlushError<WORDS> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Why a CPU may not switch to a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SwitchError {
    /// The space has been retired, or this CPU has not come online.
    Refused(Refused),
    /// There is no identifier for it.
    Id(IdError),
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Id(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SwitchError {}

/// Why an attach or a detach did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AttachError {
    /// Every place is taken.
    NoPlace,
    /// The space has been retired, or is being retired.
    Retired,
    /// The attachment is not, or no longer, attached here.
    NotAttached,
    /// Another detach of it is under way.
    Busy,
    /// Called from within a call to a secondary TLB on this CPU, which a detach would wait for.
    FromCallback,
    /// The deadline passed before the device was silent. It stays attached; detach again.
    Timeout,
    /// The secondary TLB reported an error. It stays attached; detach again.
    Secondary(SecondaryError),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace => f.write_str("every place for a secondary TLB is taken"),
            Self::Retired => f.write_str("the address space has been retired"),
            Self::NotAttached => f.write_str("not attached"),
            Self::Busy => f.write_str("another detach is under way"),
            Self::FromCallback => f.write_str("called from within a secondary TLB"),
            Self::Timeout => f.write_str("the deadline passed"),
            Self::Secondary(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for AttachError {}
