//! A link's ATSD registers, which hold one invalidation, and a device that acts by one process element until it is asked to end.

use super::{ALL, Caches, Fault, Unit, bit, word};
use crate::iommu::ocxl::registers::{AVA, LNCH, LNCH_IS_PROCESS, STAT, STAT_PENDING};

/// Where an element says that it is valid, big-endian.
const STATE: u64 = 8 * 15;
const VALID: u64 = 0x8000_0000;

#[derive(Default)]
pub(super) struct Registers {
    address: u64,
    /// What is being invalidated.
    launched: Option<u64>,
    launches: u32,
    was_shown: bool,
    caches: Caches,
    fault: Fault,
    /// Where the device's process element is, and whether the device acts by it.
    pub(super) element: u64,
    pub(super) acts: bool,
    /// The link has the element cached.
    pub(super) has_cached: bool,
    /// The device was asked to end its accesses.
    pub(super) ends: bool,
}

impl Unit for Registers {
    /// The first look at an invalidation finds it under way, the next takes it to its end.
    fn read(&mut self, offset: usize) -> u64 {
        if offset != STAT || self.launched.is_none() {
            return 0;
        }
        if self.fault == Fault::Reset {
            (self.fault, self.launched) = (Fault::None, None);
            return u64::MAX;
        }
        if !core::mem::replace(&mut self.was_shown, true) {
            return STAT_PENDING.swap_bytes();
        }
        self.step();
        0
    }

    fn write(&mut self, offset: usize, value: u64) {
        match offset {
            AVA => self.address = value.swap_bytes(),
            LNCH => {
                assert!(self.launched.is_none(), "over one that is under way");
                self.launches += 1;
                self.was_shown = false;
                let is_process = value.swap_bytes() & LNCH_IS_PROCESS != 0;
                let pages = bit(self.address >> 12 & 0x3f);
                self.launched = Some(if is_process { ALL } else { pages });
            }
            _ => {}
        }
    }

    fn arrive(&mut self) {}

    fn step(&mut self) {
        if self.acts {
            let is_valid = word(self.element + STATE).swap_bytes() & VALID != 0;
            assert!(is_valid, "emptied under a device that uses it");
            self.has_cached = true;
            self.caches.own |= self.caches.mapped;
        }
        if let Some(pages) = self.launched.take() {
            self.caches.own &= !pages;
        }
    }

    fn caches(&mut self) -> &mut Caches {
        // Its device caches nothing.
        self.caches.device = 0;
        &mut self.caches
    }

    fn arm(&mut self, fault: Fault) {
        self.fault = fault;
    }

    fn fault(&self) -> Fault {
        self.fault
    }

    fn is_let_through(&self) -> bool {
        self.acts
    }

    fn walks(&self) -> bool {
        self.acts || self.has_cached
    }

    fn laps(&self) -> u32 {
        self.launches
    }
}
