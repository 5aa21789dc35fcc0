//! A device behind the IOMMU that reads and writes memory by the process's addresses.

use super::command::DeviceTlb;
use crate::device_tlb::Atc;
use crate::oracle::{Holder, Oracle};
use alloc::vec::Vec;
use core::fmt;

/// What a device is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// It has a TLB of its own, switched on.
    pub ats: bool,
    /// Bits of a PASID that it knows; an invalidation beyond is refused, which completes without effect.
    pub pasid_bits: u8,
    /// It asks again at once for what was invalidated in its TLB, before anything else happens.
    pub refills: bool,
    /// It never rests: what it accessed lately is looked up again before every command that the IOMMU does, as by accesses of its own or
    /// by a prefetch. Nothing is recorded of that.
    pub restless: bool,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            ats: false,
            pasid_bits: 20,
            refills: true,
            restless: false,
        }
    }
}

/// How many accesses a restless device repeats.
const LATELY: usize = 4;

/// A device.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) options: DeviceOptions,
    pub(super) tlb: Atc,
    /// It does not answer invalidations.
    pub(super) silent: bool,
    /// What it accessed last, the latest at the end.
    lately: Vec<(Option<u32>, u64)>,
}

impl Device {
    pub(super) fn new(options: DeviceOptions) -> Self {
        Self {
            options,
            tlb: Atc::default(),
            silent: false,
            lately: Vec::new(),
        }
    }

    /// Remembers an access.
    pub(super) fn accessed(&mut self, pasid: Option<u32>, va: u64) {
        self.lately.retain(|&old| old != (pasid, va));
        self.lately.push((pasid, va));
        if self.lately.len() > LATELY {
            self.lately.remove(0);
        }
    }

    /// What it does again although nobody asked.
    pub(super) fn repeats(&self) -> &[(Option<u32>, u64)] {
        if self.options.restless {
            &self.lately
        } else {
            &[]
        }
    }

    /// Heeds an invalidation, or refuses it, and says what it will ask for again. One without a PASID reaches what was cached
    /// without a PASID.
    pub(super) fn invalidate(
        &mut self,
        inv: &DeviceTlb,
        oracle: &mut Oracle,
    ) -> Vec<(Option<u32>, u64)> {
        let bits = self.options.pasid_bits;
        if !self.options.ats || inv.pasid.is_some_and(|pasid| pasid >> bits != 0) {
            return Vec::new();
        }
        let reached = |pasid| pasid == inv.pasid;
        let holder = Holder::Device(inv.device);
        let dropped =
            self.tlb
                .invalidate(reached, [inv.block.first, inv.block.last], holder, oracle);
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
    /// IO_PAGE_FAULT: there is no translation.
    NotPresent,
    /// IO_PAGE_FAULT: the translation does not allow it.
    Permission,
    /// Another event, by its code.
    Event(u8),
    /// Refused without an event.
    Aborted,
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresent => f.write_str("IO_PAGE_FAULT, not present"),
            Self::Permission => f.write_str("IO_PAGE_FAULT, permission"),
            Self::Event(code) => write!(f, "event {code}"),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}

impl core::error::Error for DeviceFault {}
