//! How subscribing, reading and invalidating can fail.

use super::Running;
use crate::secondary::{AttachKey, SecondaryError};
use core::fmt;

/// Why a subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SubscribeError {
    /// Every place is taken; one whose removal waits for an invalidation counts until that has ended.
    Full,
    /// The address space has been released.
    Released,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "every place for a subscription is taken",
            Self::Released => "the address space has been released",
        })
    }
}

impl core::error::Error for SubscribeError {}

/// The subscription is not, or no longer, one of this address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotSubscribed;

impl fmt::Display for NotSubscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not subscribed")
    }
}

impl core::error::Error for NotSubscribed {}

/// Why a read could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReadError {
    /// An invalidation is running. Try again once it [has ended](super::Intervals::has_ended).
    WouldBlock(Running),
    /// The subscription is not, or no longer, one of this address space.
    NotSubscribed,
    /// The address space has been released: there is nothing left to read.
    Released,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock(_) => f.write_str("an invalidation is running"),
            Self::NotSubscribed => NotSubscribed.fmt(f),
            Self::Released => SubscribeError::Released.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {}

/// A subscriber would have had to sleep. The invalidation has been ended for those that had begun it, and nothing may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refused {
    /// The subscription that refused, in its subscriber's terms.
    pub key: AttachKey,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subscription {:#x} would have to sleep", self.key.0)
    }
}

impl core::error::Error for Refused {}

/// Which subscriber has not answered, so that it may still use what it had of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Unanswered {
    /// The first subscription that has not, in its subscriber's terms.
    pub key: AttachKey,
    /// What it reported; without an error, the caller's patience ended.
    pub error: Option<SecondaryError>,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unanswered by subscription {:#x}", self.key.0)?;
        match self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Unanswered {}
