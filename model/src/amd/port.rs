//! Handles on one AMD IOMMU (its registers for the driver, its innards for tests) and on the devices behind it.

use super::device::{Device, DeviceFault, DeviceOptions};
use super::iommu::Iommu;
use super::options::AmdOptions;
use super::registers::Written;
use super::request::Request;
use super::work::Spoiled;
use crate::ground::Ground;
use crate::model::Model;
use crate::oracle::Violation;
use tlb_shootdown::dma::Mmio;

/// The register block without performance counters.
const BLOCK: usize = 0x4000;
/// Steps after which a machine that was asked to settle is left as it is: a device that never answers may stop it for ever.
const MANY: u32 = 100_000;
/// Steps that fit into a store to the doorbell.
const A_FEW: u32 = 64;

/// One AMD IOMMU of a [`Model`]. Clones are the same IOMMU.
#[derive(Clone, Debug)]
pub struct AmdPort {
    model: Model,
    index: usize,
}

impl AmdPort {
    pub(crate) fn new(model: Model, index: usize) -> Self {
        Self { model, index }
    }

    /// The machine it belongs to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it implements.
    pub fn options(&self) -> AmdOptions {
        self.with(|iommu, _| iommu.options)
    }

    /// The first doubleword of its PCI capability: id 0x0f, IotlbSup (bit 24) as the options say, EFRSup (bit 27).
    pub fn capability(&self) -> u32 {
        0x0f | u32::from(self.options().iotlb) << 24 | 1 << 27
    }

    /// Puts a device behind it, under this DeviceID. A second one of the same number takes its place.
    pub fn add_device(&self, device: u16, options: DeviceOptions) -> DevicePort {
        self.with(|iommu, _| iommu.devices.insert(device.into(), Device::new(options)));
        self.device(device)
    }

    /// The handle on a device that was put there.
    pub fn device(&self, device: u16) -> DevicePort {
        DevicePort {
            iommu: self.clone(),
            device: device.into(),
            pasid: None,
        }
    }

    /// Does one piece of work: at most one command is fetched, and at most one done.
    pub fn step(&self) {
        self.with(|iommu, ground| iommu.step(ground));
    }

    /// Works until nothing is left to fetch or to do, whether a COMPLETION_WAIT asks for it or not.
    pub fn settle(&self) {
        self.with(|iommu, ground| {
            work_off(iommu, ground, MANY);
            iommu.registers.show_head();
        });
    }

    /// Stops working, as hardware does whose clock or power has gone; or goes on.
    pub fn freeze(&self, frozen: bool) {
        self.with(|iommu, _| iommu.work.frozen = frozen);
    }

    /// Lets the next command fetch find no memory: COMMAND_HARDWARE_ERROR.
    pub fn abort_next_fetch(&self) {
        self.with(|iommu, _| iommu.work.abort_next = true);
    }

    /// Sets these bits in the two words of the next command of this operation that is fetched. Bit 3 of the second is reserved in all
    /// but COMPLETION_WAIT: ILLEGAL_COMMAND_ERROR, at each fetch until the slot is written again.
    pub fn spoil_next(&self, opcode: u8, words: [u64; 2]) {
        self.with(|iommu, _| iommu.work.spoil_next = Some(Spoiled { opcode, words }));
    }

    /// How many entries its TLB holds.
    pub fn held(&self) -> usize {
        self.with(|iommu, _| iommu.tlb.len())
    }

    fn with<R>(&self, f: impl FnOnce(&mut Iommu, &mut Ground) -> R) -> R {
        self.model.with(|world| {
            let ground = &mut world.ground;
            f(&mut world.amds[self.index], ground)
        })
    }

    /// A read is a poll: it shows what was before, and then the IOMMU works.
    fn read(&self, at: usize) -> u64 {
        self.with(|iommu, ground| {
            let value = iommu.registers.read(at);
            iommu.step(ground);
            value
        })
    }

    fn write(&self, at: usize, value: u64) {
        self.with(|iommu, ground| match iommu.registers.write(at, value) {
            Written::Plain => {}
            Written::Disabled => iommu.forget_commands(ground),
            Written::Tail { from } => {
                ground.oracle.counts.doorbells += 1;
                iommu.check_tail(from, ground);
                if ground.chooser.hurries() {
                    work_off(iommu, ground, A_FEW);
                }
            }
            Written::Locked => ground.oracle.report(Violation::WrittenWhileRunning {
                iommu: self.index,
                register: at,
            }),
        });
    }
}

/// Works until nothing is left to fetch or to do, or so many steps are done.
fn work_off(iommu: &mut Iommu, ground: &mut Ground, most: u32) {
    let mut turns = 0;
    iommu.work.pressed = true;
    while turns < most && !(turns > 0 && iommu.is_at_rest()) {
        iommu.step(ground);
        turns += 1;
    }
    iommu.work.pressed = false;
}

// SAFETY: every access takes the machine's lock and touches one register once, in program order.
unsafe impl Mmio for AmdPort {
    fn len(&self) -> usize {
        BLOCK
    }

    fn read32(&self, offset: usize) -> u32 {
        if !offset.is_multiple_of(4) || offset >= BLOCK {
            return u32::MAX;
        }
        (self.read(offset & !7) >> ((offset & 4) * 8)) as u32
    }

    fn write32(&self, offset: usize, value: u32) {
        if !offset.is_multiple_of(4) || offset >= BLOCK {
            return;
        }
        let shift = (offset & 4) * 8;
        let old = self.with(|iommu, _| iommu.registers.unwritten_half(offset & !7));
        let kept = old & !(0xffff_ffff << shift);
        self.write(offset & !7, kept | u64::from(value) << shift);
    }

    fn read64(&self, offset: usize) -> u64 {
        if !offset.is_multiple_of(8) || offset >= BLOCK {
            return u64::MAX;
        }
        self.read(offset)
    }

    fn write64(&self, offset: usize, value: u64) {
        if offset.is_multiple_of(8) && offset < BLOCK {
            self.write(offset, value);
        }
    }
}

/// A handle on one device, and on one of its PASIDs.
#[derive(Clone, Debug)]
pub struct DevicePort {
    iommu: AmdPort,
    device: u32,
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

    /// Reads the word at a virtual address.
    ///
    /// # Errors
    /// [`DeviceFault`]; an event was recorded where the manual asks for one.
    pub fn read(&self, va: u64) -> Result<u64, DeviceFault> {
        self.iommu.with(|iommu, ground| {
            let pa = iommu.access(self.request(va, false), ground)?;
            Ok(ground.memory.read(pa))
        })
    }

    /// Writes the word at a virtual address.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn write(&self, va: u64, value: u64) -> Result<(), DeviceFault> {
        self.iommu.with(|iommu, ground| {
            let pa = iommu.access(self.request(va, true), ground)?;
            ground.memory.write(pa, value);
            Ok(())
        })
    }

    /// Answers no invalidation from now on, or answers again, those under way included.
    pub fn set_silent(&self, silent: bool) {
        self.with_device(|device| device.silent = silent);
    }

    /// How many translations its own TLB holds.
    pub fn held(&self) -> usize {
        self.with_device(|device| device.tlb.iter().count())
            .unwrap_or(0)
    }

    fn with_device<R>(&self, f: impl FnOnce(&mut Device) -> R) -> Option<R> {
        self.iommu
            .with(|iommu, _| iommu.devices.get_mut(&self.device).map(f))
    }

    fn request(&self, va: u64, write: bool) -> Request {
        Request {
            device: self.device,
            pasid: self.pasid,
            va,
            write,
            ats: false,
        }
    }
}
