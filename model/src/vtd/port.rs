//! Handles on one unit (its registers for the driver, its innards for tests) and on the devices behind it.

use super::command::Illegal;
use super::device::{Device, DeviceFault, DeviceOptions};
use super::options::VtdOptions;
use super::registers::Effect;
use super::request::Request;
use super::unit::Vtd;
use crate::ground::Ground;
use crate::model::Model;
use crate::oracle::Violation;
use tlb_shootdown::dma::Mmio;

/// The register block: one page (11.4).
const BLOCK: usize = 0x1000;
/// Steps after which a machine that was asked to settle is left as it is.
const MANY: u32 = 100_000;
/// Steps that fit into a store to the doorbell.
const A_FEW: u32 = 64;

/// One VT-d unit of a [`Model`]. Clones are the same unit.
#[derive(Clone, Debug)]
pub struct VtdPort {
    model: Model,
    index: usize,
}

impl VtdPort {
    pub(crate) fn new(model: Model, index: usize) -> Self {
        Self { model, index }
    }

    /// The machine it belongs to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it implements.
    pub fn options(&self) -> VtdOptions {
        self.with(|unit, _| unit.options)
    }

    /// Puts a device on this source id (bus 15:8, device 7:3, function 2:0). A second one on the same takes its place.
    pub fn add_device(&self, sid: u16, options: DeviceOptions) -> DevicePort {
        self.with(|unit, _| unit.devices.insert(sid, Device::new(options)));
        DevicePort {
            unit: self.clone(),
            sid,
            pasid: None,
        }
    }

    /// Does one piece of work: at most one descriptor.
    pub fn step(&self) {
        self.with(|unit, ground| unit.step(ground));
    }

    /// Works until the queue is empty or has stopped and no wait is open, and shows the head as it is.
    pub fn settle(&self) {
        self.with(|unit, ground| {
            work_off(unit, ground, MANY);
            unit.registers.show_head();
        });
    }

    /// Stops fetching and doing, as hardware does whose clock or power has gone; or goes on.
    pub fn freeze(&self, frozen: bool) {
        self.with(|unit, _| unit.work.frozen = frozen);
    }

    /// Refuses the next descriptor that is not a wait, as if its fetch had failed (IQE, reason 2).
    pub fn abort_next_fetch(&self) {
        self.with(|unit, _| unit.work.refuse = Some(Illegal::Fetch));
    }

    /// Refuses the next descriptor that is not a wait, as if a reserved bit had been set in it (IQE, reason 4).
    pub fn refuse_next(&self) {
        self.with(|unit, _| unit.work.refuse = Some(Illegal::Reserved));
    }

    /// An answer arrives that nobody waits for: ICE.
    pub fn raise_completion_error(&self, sid: u16) {
        self.with(|unit, _| unit.registers.completion_error(sid));
    }

    /// How many entries its TLB holds.
    pub fn held(&self) -> usize {
        self.with(|unit, _| unit.tlb.len())
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vtd, &mut Ground) -> R) -> R {
        self.model.with(|world| {
            let ground = &mut world.ground;
            f(&mut world.vtds[self.index], ground)
        })
    }

    /// A read is a poll: it shows what was before, and then the unit works.
    fn read(&self, at: usize) -> u32 {
        self.with(|unit, ground| {
            let value = unit.registers.read32(at);
            unit.step(ground);
            if !ground.chooser.unasked(3) {
                unit.registers.show_head();
            }
            value
        })
    }

    fn write(&self, at: usize, value: u32) {
        self.with(|unit, ground| match unit.registers.write32(at, value) {
            Effect::Nothing => {}
            Effect::Doorbell { overrun } => {
                unit.work.parked = false;
                ground.oracle.counts.doorbells += 1;
                if overrun {
                    let iommu = unit.index;
                    ground.oracle.report(Violation::QueueOverrun { iommu });
                }
                if ground.chooser.hurries() {
                    work_off(unit, ground, A_FEW);
                }
            }
            Effect::Forbidden => ground.oracle.report(Violation::WrittenWhileRunning {
                iommu: unit.index,
                register: at,
            }),
            Effect::Cleared => unit.work.parked = !unit.options.resumes_on_clear,
        });
    }
}

/// Works until the queue is empty or has stopped and no wait is open, or so many steps are done.
fn work_off(unit: &mut Vtd, ground: &mut Ground, most: u32) {
    let mut turns = 0;
    while turns < most && !(turns > 0 && unit.is_at_rest()) {
        unit.step(ground);
        turns += 1;
    }
}

// SAFETY: every access takes the machine's lock and touches one register once, in program order.
unsafe impl Mmio for VtdPort {
    fn len(&self) -> usize {
        BLOCK
    }

    fn read32(&self, offset: usize) -> u32 {
        if offset.is_multiple_of(4) && offset < BLOCK {
            self.read(offset)
        } else {
            u32::MAX
        }
    }

    fn write32(&self, offset: usize, value: u32) {
        if offset.is_multiple_of(4) && offset < BLOCK {
            self.write(offset, value);
        }
    }

    fn read64(&self, offset: usize) -> u64 {
        u64::from(self.read32(offset)) | u64::from(self.read32(offset + 4)) << 32
    }

    fn write64(&self, offset: usize, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }
}

/// A handle on one device, and on one of its PASIDs.
#[derive(Clone, Debug)]
pub struct DevicePort {
    unit: VtdPort,
    sid: u16,
    pasid: Option<u32>,
}

impl DevicePort {
    /// The same device, using this PASID.
    pub fn pasid(&self, pasid: u32) -> Self {
        Self {
            pasid: Some(pasid),
            ..self.clone()
        }
    }

    /// The source id that the unit knows it by.
    pub fn sid(&self) -> u16 {
        self.sid
    }

    /// Reads the word at a virtual address.
    ///
    /// # Errors
    /// [`DeviceFault`]; a record was written where the configuration asks for it.
    pub fn read(&self, va: u64) -> Result<u64, DeviceFault> {
        self.unit.with(|unit, ground| {
            let pa = unit.access(self.request(va, false), ground)?;
            Ok(ground.memory.read(pa))
        })
    }

    /// Writes the word at a virtual address.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn write(&self, va: u64, value: u64) -> Result<(), DeviceFault> {
        self.unit.with(|unit, ground| {
            let pa = unit.access(self.request(va, true), ground)?;
            ground.memory.write(pa, value);
            Ok(())
        })
    }

    /// Answers no invalidation from now on, or answers again, those under way included.
    pub fn set_silent(&self, silent: bool) {
        self.with_device(|device| device.silent = silent);
    }

    /// Switches its TLB on or off; off, it forgets what it held.
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
        self.unit
            .with(|unit, _| unit.devices.get_mut(&self.sid).map(f))
    }

    fn request(&self, va: u64, write: bool) -> Request {
        Request {
            sid: self.sid,
            pasid: self.pasid,
            va,
            write,
            ats: false,
        }
    }
}
