//! A device behind the unit that reads and writes memory by the process's addresses.

use super::command::DeviceInv;
use crate::device_tlb::Atc;
use crate::oracle::{Holder, Oracle};
use alloc::vec::Vec;
use core::fmt;

/// What a device is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// It has a TLB of its own, switched on.
    pub ats: bool,
    /// Bits of a PASID that it knows; an invalidation beyond is answered UR, which completes without effect.
    pub pasid_bits: u8,
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
            pasid_bits: 20,
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

    /// Heeds an invalidation, or answers UR, and says what it will ask for again.
    pub(super) fn invalidate(
        &mut self,
        inv: &DeviceInv,
        oracle: &mut Oracle,
    ) -> Vec<(Option<u32>, u64)> {
        let bits = self.options.pasid_bits;
        let is_beyond = inv.pasid.is_some_and(|pasid| pasid >> bits != 0);
        if !self.options.ats || is_beyond {
            return Vec::new();
        }
        if self.options.needs_repeat && self.once.take() != Some(*inv) {
            self.once = Some(*inv);
            return Vec::new();
        }
        let reached = |pasid: Option<u32>| (inv.global && pasid.is_some()) || pasid == inv.pasid;
        let holder = Holder::Device(inv.sid.into());
        let dropped = self
            .atc
            .invalidate(reached, [inv.first, inv.last], holder, oracle);
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
