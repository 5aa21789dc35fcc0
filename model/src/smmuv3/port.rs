//! Handles on one SMMU (its registers for the driver, its innards for tests) and on the devices behind it.

use super::device::{Device, DeviceFault, DeviceOptions};
use super::options::SmmuOptions;
use super::registers::{SFM, offset};
use super::request::Request;
use super::smmu::Smmu;
use crate::ground::Ground;
use crate::model::Model;
use tlb_shootdown::dma::Mmio;

/// The register block: page 0 and page 1, 64 KiB each (6.1).
const BLOCK: usize = 0x2_0000;
/// Steps after which a machine that was asked to settle is left as it is: a device that never answers may stop it for ever.
const MANY: u32 = 100_000;
/// Steps that fit into a store to the doorbell.
const A_FEW: u32 = 64;

/// One SMMU of a [`Model`]. Clones are the same SMMU.
#[derive(Clone, Debug)]
pub struct SmmuPort {
    model: Model,
    index: usize,
}

impl SmmuPort {
    pub(crate) fn new(model: Model, index: usize) -> Self {
        Self { model, index }
    }

    /// The machine it belongs to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it implements.
    pub fn options(&self) -> SmmuOptions {
        self.with(|smmu, _| smmu.options)
    }

    /// Puts a device on this stream. A second one on the same stream takes its place.
    pub fn add_device(&self, stream: u32, options: DeviceOptions) -> DevicePort {
        self.with(|smmu, _| smmu.devices.insert(stream, Device::new(options)));
        DevicePort {
            smmu: self.clone(),
            stream,
            substream: None,
        }
    }

    /// Does one piece of work: at most one command.
    pub fn step(&self) {
        self.with(|smmu, ground| smmu.step(ground));
    }

    /// Works until the queue is empty or has stopped, and shows CONS as it is.
    pub fn settle(&self) {
        self.with(|smmu, ground| {
            work_off(smmu, ground, MANY);
            smmu.registers.show_cons();
        });
    }

    /// Stops consuming, as hardware does whose clock or power has gone; or goes on.
    pub fn freeze(&self, frozen: bool) {
        self.with(|smmu, _| smmu.work.frozen = frozen);
    }

    /// Lets the next command fetch find no memory: CERROR_ABT (7.1).
    pub fn abort_next_fetch(&self) {
        self.with(|smmu, _| smmu.work.abort_next = true);
    }

    /// Enters service failure mode: GERROR.SFM_ERR, which acknowledging does not leave (6.3.19).
    pub fn fail(&self) {
        self.with(|smmu, _| {
            smmu.registers.raise(SFM);
            smmu.work.frozen = true;
        });
    }

    /// How many entries its TLB holds.
    pub fn held(&self) -> usize {
        self.with(|smmu, _| smmu.tlb.len())
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Smmu, &mut Ground) -> R) -> R {
        self.model.with(|world| {
            let ground = &mut world.ground;
            f(&mut world.smmus[self.index], ground)
        })
    }

    /// A read is a poll: it shows what was before, and then the SMMU works.
    fn read(&self, at: usize) -> u32 {
        self.with(|smmu, ground| {
            let value = smmu.registers.read32(at);
            smmu.step(ground);
            if !ground.chooser.unasked(3) {
                smmu.registers.show_cons();
            }
            value
        })
    }

    fn write(&self, at: usize, value: u32) {
        self.with(|smmu, ground| {
            if smmu.registers.write32(at, value) {
                ground.oracle.counts.doorbells += 1;
            }
            if at == offset::CMDQ_PROD {
                smmu.check_producer(ground);
                if ground.chooser.hurries() {
                    work_off(smmu, ground, A_FEW);
                }
            }
        });
    }
}

/// Works until the queue is empty or has stopped, or so many steps are done.
fn work_off(smmu: &mut Smmu, ground: &mut Ground, most: u32) {
    let mut turns = 0;
    while turns < most && !(turns > 0 && smmu.is_at_rest()) {
        smmu.step(ground);
        turns += 1;
    }
}

// SAFETY: every access takes the machine's lock and touches one register once, in program order.
unsafe impl Mmio for SmmuPort {
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
    smmu: SmmuPort,
    stream: u32,
    substream: Option<u32>,
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
