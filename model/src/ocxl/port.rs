//! Handles on one link (its registers for the driver, firmware's calls for the kernel, its innards for tests) and on the devices behind it.

use super::accelerator::Accelerator;
use super::access::{DeviceFault, Request};
use super::link::Link;
use super::options::LinkOptions;
use super::registers;
use crate::ground::Ground;
use crate::model::Model;
use tlb_shootdown::dma::Mmio;

/// One link of a [`Model`]. Clones are the same link.
#[derive(Clone, Debug)]
pub struct LinkPort {
    model: Model,
    index: usize,
}

impl LinkPort {
    pub(crate) fn new(model: Model, index: usize) -> Self {
        Self { model, index }
    }

    /// The machine it belongs to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What it is.
    pub fn options(&self) -> LinkOptions {
        self.with(|link, _| link.options)
    }

    /// A device: this function's accelerator, acting for this PASID, from now on if it was terminated.
    pub fn device(&self, function: u16, pasid: u32) -> DevicePort {
        let device = DevicePort {
            link: self.clone(),
            function,
            pasid,
        };
        device.with(|accelerator| accelerator.begin(pasid));
        device
    }

    /// Firmware tells the link where the scheduled process area lies.
    pub fn set_process_area(&self, pa: u64, len: u64) {
        self.with(|link, _| link.area = Some((pa, len)));
    }

    /// Firmware makes the link forget the process element of a PASID.
    pub fn clear_element(&self, pasid: u32) {
        self.with(|link, _| link.elements.remove(&pasid));
    }

    /// Whether the link has read the process element of a PASID, and not been made to forget it.
    pub fn holds_element(&self, pasid: u32) -> bool {
        self.with(|link, _| link.elements.contains_key(&pasid))
    }

    /// Does one piece of work.
    pub fn step(&self) {
        self.with(Link::step);
    }

    /// Invalidations do not end from now on, or do again, the one under way included.
    pub fn freeze(&self, frozen: bool) {
        self.with(|link, _| link.frozen = frozen);
    }

    /// Takes the link away: its registers read as ones.
    pub fn take_down(&self) {
        self.with(|link, _| link.down = true);
    }

    /// How many entries its nest MMU holds.
    pub fn held(&self) -> usize {
        self.with(|link, _| link.nest_mmu.tlb.len())
    }

    fn with<R>(&self, f: impl FnOnce(&mut Link, &mut Ground) -> R) -> R {
        self.model.with(|world| {
            let ground = &mut world.ground;
            f(&mut world.links[self.index], ground)
        })
    }
}

/// Doublewords alone: the registers have no halves.
fn is_register(at: usize) -> bool {
    at.is_multiple_of(8) && at < registers::LEN
}

// SAFETY: every access takes the machine's lock and touches one register once, in program order.
unsafe impl Mmio for LinkPort {
    fn len(&self) -> usize {
        registers::LEN
    }

    fn read32(&self, _: usize) -> u32 {
        u32::MAX
    }

    fn write32(&self, _: usize, _: u32) {}

    /// The registers are big-endian; the value is what a little-endian load finds.
    fn read64(&self, offset: usize) -> u64 {
        if !is_register(offset) {
            return u64::MAX;
        }
        self.with(|link, ground| link.read(offset, ground)).to_be()
    }

    fn write64(&self, offset: usize, value: u64) {
        if is_register(offset) {
            self.with(|link, ground| link.write(offset, u64::from_be(value), ground));
        }
    }
}

/// A handle on one context of one device.
#[derive(Clone, Debug)]
pub struct DevicePort {
    link: LinkPort,
    function: u16,
    pasid: u32,
}

impl DevicePort {
    /// Reads the word at a virtual address.
    ///
    /// # Errors
    /// [`DeviceFault`].
    pub fn read(&self, va: u64) -> Result<u64, DeviceFault> {
        self.link.with(|link, ground| {
            let pa = link.access(self.request(va, false), ground)?;
            Ok(ground.memory.read(pa))
        })
    }

    /// Writes the word at a virtual address.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn write(&self, va: u64, value: u64) -> Result<(), DeviceFault> {
        self.link.with(|link, ground| {
            let pa = link.access(self.request(va, true), ground)?;
            ground.memory.write(pa, value);
            Ok(())
        })
    }

    /// Writes the context's PASID and the busy bit into the accelerator's control register. False where the accelerator is busy with
    /// another's termination: nothing was started.
    pub fn terminate(&self) -> bool {
        let polls = self.link.options().termination_polls;
        self.with(|accelerator| accelerator.end(self.pasid, polls))
    }

    /// Reads the busy bit: the PASID whose termination is under way, if any. Until it is clear the device goes on.
    pub fn terminating(&self) -> Option<u32> {
        self.with(Accelerator::poll)
    }

    /// The accelerator's terminations do not end from now on, or do again.
    pub fn set_stuck(&self, stuck: bool) {
        self.with(|accelerator| accelerator.stuck = stuck);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Accelerator) -> R) -> R {
        self.link
            .with(|link, _| f(link.accelerators.entry(self.function).or_default()))
    }

    fn request(&self, va: u64, write: bool) -> Request {
        Request {
            function: self.function,
            pasid: self.pasid,
            va,
            write,
        }
    }
}
