//! A device behind the unit that reads and writes memory by the process's addresses.

use super::command::DeviceInv;
use crate::device_tlb::Atc;
use alloc::vec::Vec;
use core::fmt;

/// What a device is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// It has a TLB of its own, switched on.
    pub ats: bool,
    /// It asks again at once for what was invalidated in its TLB, before anything else happens.
    pub refills: bool,
    /// An answer to a request of before may arrive after an invalidation: it takes a second invalidation of the same to be rid of it
    /// (the erratum for which Linux repeats device-TLB invalidations).
    pub needs_repeat: bool,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            ats: false,
            refills: true,
            needs_repeat: false,
        }
    }
}

/// A device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(super) options: DeviceOptions,
    pub(crate) atc: Atc,
    /// It does not answer invalidations.
    pub(super) silent: bool,
    /// The invalidation whose repetition it heeds.
    once: Option<DeviceInv>,
}

impl Device {
    pub(super) fn new(options: DeviceOptions) -> Self {
        Self {
            options,
            atc: Atc::default(),
            silent: false,
            once: None,
        }
    }

    /// Heeds an invalidation, and says what it will ask for again.
    pub(super) fn invalidate(&mut self, inv: &DeviceInv) -> Vec<(Option<u32>, u64)> {
        if self.options.needs_repeat && self.once.take() != Some(*inv) {
            self.once = Some(*inv);
            return Vec::new();
        }
        let reached = |pasid: Option<u32>| (inv.global && pasid.is_some()) || pasid == inv.pasid;
        let dropped = self.atc.invalidate(reached, inv.first, inv.last);
        if self.options.refills {
            dropped
        } else {
            Vec::new()
        }
    }
}

/// How a device's access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// There is no translation (0x71, or the answer to a translation request).
    NotPresent,
    /// Writes are not allowed (0x85).
    Permission,
    /// Another fault reason (7.2.3).
    Reason(u8),
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresent => f.write_str("no translation"),
            Self::Permission => f.write_str("no write permission"),
            Self::Reason(reason) => write!(f, "fault reason {reason:#x}"),
        }
    }
}

impl core::error::Error for DeviceFault {}
