//! A device behind the SMMU that reads and writes memory by the process's addresses.

use super::atc::Atc;
use super::command::AtcInv;
use super::event;
use super::translate::{Outcome, Refused, Request};
use super::{Smmu, SmmuPort};
use crate::memory::descriptor::{Leaf, Rights};
use crate::oracle::Holder;
use crate::tlb::Entry;
use crate::world::Ground;
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
    pub(super) fn invalidate(&mut self, inv: &AtcInv) -> Vec<(Option<u32>, u64)> {
        let beyond = inv
            .ssid
            .is_some_and(|ssid| ssid >> self.options.pasid_bits != 0);
        if !self.options.ats || beyond || inv.size < u32::from(self.options.stu) {
            return Vec::new();
        }
        let dropped = self.atc.invalidate(inv.ssid, inv.first, inv.last);
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

impl From<Refused> for DeviceFault {
    fn from(refused: Refused) -> Self {
        match refused.event {
            event::TRANSLATION => Self::Translation,
            event::ACCESS => Self::AccessFlag,
            event::PERMISSION => Self::Permission,
            0 => Self::Aborted,
            event => Self::Event(event),
        }
    }
}

impl Smmu {
    /// A device's access: through its own TLB where it has one, else through the SMMU. The physical address.
    fn access(&mut self, request: Request, ground: &mut Ground) -> Result<u64, DeviceFault> {
        let translated = if self.has_ats(request.sid) {
            self.through_atc(request, ground)?
        } else {
            self.translate(&request, ground)?
        };
        let Outcome::Translated(entry, leaf) = translated else {
            return Ok(request.va);
        };
        if request.write && leaf.rights == Rights::ReadOnly {
            return Err(DeviceFault::Permission);
        }
        Ok(physical(&entry, &leaf, request.va))
    }

    fn has_ats(&self, sid: u32) -> bool {
        self.devices
            .get(&sid)
            .is_some_and(|device| device.options.ats)
    }

    /// What the device holds it believes, its rights included: it does not ask again for more.
    fn through_atc(
        &mut self,
        request: Request,
        ground: &mut Ground,
    ) -> Result<Outcome, DeviceFault> {
        let Request { sid, ssid, va, .. } = request;
        if self.atc_leaf(sid, ssid, va).is_none() {
            self.request_translation(sid, ssid, va, ground);
        }
        let Some((entry, leaf)) = self.atc_leaf(sid, ssid, va) else {
            // The same request once more, for the reason.
            return match self.translate(
                &Request {
                    ats: true,
                    ..request
                },
                ground,
            )? {
                Outcome::Bypass => Ok(Outcome::Bypass),
                Outcome::Translated(..) => Err(DeviceFault::Aborted),
            };
        };
        ground
            .oracle
            .used(Holder::Device(sid), &entry, va, &ground.memory);
        Ok(Outcome::Translated(entry, leaf))
    }

    fn atc_leaf(&self, sid: u32, ssid: Option<u32>, va: u64) -> Option<(Entry, Leaf)> {
        self.devices.get(&sid)?.atc.leaf(ssid, va)
    }

    /// An ATS translation request, asked for or not: the SMMU answers from its own TLB where it can, stale or not.
    pub(super) fn request_translation(
        &mut self,
        sid: u32,
        ssid: Option<u32>,
        va: u64,
        ground: &mut Ground,
    ) {
        let request = Request {
            sid,
            ssid,
            va,
            write: false,
            ats: true,
        };
        if let Ok(Outcome::Translated(entry, _)) = self.translate(&request, ground)
            && let Some(device) = self.devices.get_mut(&sid)
        {
            device.atc.fill(ssid, entry);
        }
    }
}

fn physical(entry: &Entry, leaf: &Leaf, va: u64) -> u64 {
    let offset = (1 << entry.shift) - 1;
    leaf.pa & !offset | va & offset
}

/// A handle on one device, and on one of its PASIDs.
#[derive(Clone, Debug)]
pub struct DevicePort {
    pub(super) smmu: SmmuPort,
    pub(super) stream: u32,
    pub(super) substream: Option<u32>,
}

impl DevicePort {
    /// The same device, using this PASID (SubstreamID).
    pub fn substream(&self, ssid: u32) -> Self {
        Self {
            substream: Some(ssid),
            ..self.clone()
        }
    }

    /// The number that the SMMU knows it by.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Reads the word at a virtual address.
    ///
    /// # Errors
    /// [`DeviceFault`]; an event was recorded where the configuration asks for it.
    pub fn read(&self, va: u64) -> Result<u64, DeviceFault> {
        self.smmu.with(|smmu, ground| {
            let pa = smmu.access(self.request(va, false), ground)?;
            Ok(ground.memory.read(pa))
        })
    }

    /// Writes the word at a virtual address.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn write(&self, va: u64, value: u64) -> Result<(), DeviceFault> {
        self.smmu.with(|smmu, ground| {
            let pa = smmu.access(self.request(va, true), ground)?;
            ground.memory.write(pa, value);
            Ok(())
        })
    }

    /// Answers no invalidation from now on, or answers again, those under way included.
    pub fn set_silent(&self, silent: bool) {
        self.with_device(|device| device.silent = silent);
    }

    /// Switches its TLB on or off; off, it forgets what it held, and answers invalidations with UR.
    pub fn set_ats(&self, ats: bool) {
        self.with_device(|device| {
            device.options.ats = ats;
            if !ats {
                device.atc.clear();
            }
        });
    }

    /// How many translations its own TLB holds.
    pub fn held(&self) -> usize {
        self.with_device(|device| device.atc.iter().count())
            .unwrap_or(0)
    }

    fn with_device<R>(&self, f: impl FnOnce(&mut Device) -> R) -> Option<R> {
        self.smmu
            .with(|smmu, _| smmu.devices.get_mut(&self.stream).map(f))
    }

    fn request(&self, va: u64, write: bool) -> Request {
        Request {
            sid: self.stream,
            ssid: self.substream,
            va,
            write,
            ats: false,
        }
    }
}
