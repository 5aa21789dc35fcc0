//! A device behind the SMMU that reads and writes memory by the process's addresses.

use super::command::AtcInv;
use crate::device_tlb::Atc;
use crate::oracle::{Holder, Oracle};
use alloc::vec::Vec;
use core::fmt;

/// What a device is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// It has a TLB of its own, switched on.
    pub ats: bool,
    /// log2 of its smallest translation unit (STU) in 4 KiB units: it does not heed smaller invalidations.
    pub stu: u8,
    /// Bits of a PASID that it knows; an invalidation beyond is answered UR, which completes without effect.
    pub pasid_bits: u8,
    /// It asks again at once for what was invalidated in its TLB, before anything else happens.
    pub refills: bool,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            ats: false,
            stu: 0,
            pasid_bits: 20,
            refills: true,
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
}

impl Device {
    pub(super) fn new(options: DeviceOptions) -> Self {
        Self {
            options,
            atc: Atc::default(),
            silent: false,
        }
    }

    /// Heeds an invalidation, or answers UR, and says what it will ask for again.
    pub(super) fn invalidate(
        &mut self,
        inv: &AtcInv,
        oracle: &mut Oracle,
    ) -> Vec<(Option<u32>, u64)> {
        let beyond = inv
            .ssid
            .is_some_and(|ssid| ssid >> self.options.pasid_bits != 0);
        if !self.options.ats || beyond || inv.size < u32::from(self.options.stu) {
            return Vec::new();
        }
        let reached = |ssid| inv.ssid.is_none() || ssid == inv.ssid;
        let holder = Holder::Device(inv.sid);
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
    /// F_TRANSLATION (0x10).
    Translation,
    /// F_ACCESS (0x12).
    AccessFlag,
    /// F_PERMISSION (0x13).
    Permission,
    /// Another event, by its number (chapter 7.3).
    Event(u8),
    /// Aborted without an event.
    Aborted,
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Translation => f.write_str("F_TRANSLATION"),
            Self::AccessFlag => f.write_str("F_ACCESS"),
            Self::Permission => f.write_str("F_PERMISSION"),
            Self::Event(event) => write!(f, "event {event:#x}"),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}

impl core::error::Error for DeviceFault {}
