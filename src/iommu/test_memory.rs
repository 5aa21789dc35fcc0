//! Memory, barriers and registers for unit tests of tables and queues.

use crate::address::PhysAddr;
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

/// Memory of its own that a device finds at `phys`, never freed.
pub(crate) fn region(phys: u64, len: usize) -> DmaRegion {
    // Whole pages, aligned as one.
    let words: &'static mut [u64] = Vec::leak(vec![0; len / 8 + 512]);
    let start = words.as_mut_ptr();
    let skip = start.align_offset(4096);
    let virt = NonNull::new(start.wrapping_add(skip)).unwrap();
    // SAFETY: never freed, and the caller's alone; the length was allocated behind the skipped part.
    unsafe { DmaRegion::new(virt.cast(), PhysAddr::new(phys), len) }
}

/// Notes which lines are cleaned.
#[derive(Debug, Default)]
pub(crate) struct Cleaned(Mutex<Vec<(usize, usize)>>);

impl Cleaned {
    /// What was cleaned since it was last asked: the distance from the start of this region, and the length.
    pub(crate) fn take(&self, base: usize) -> Vec<(usize, usize)> {
        let cleaned = core::mem::take(&mut *self.0.lock().unwrap());
        let distances = cleaned
            .into_iter()
            .map(|(at, len)| (at.wrapping_sub(base), len));
        distances.collect()
    }
}

// SAFETY: there is no device.
unsafe impl DmaBarriers for Cleaned {
    fn publish_tables(&self) {}
    fn before_doorbell(&self) {}
    fn after_completion(&self) {}
    fn clean_lines(&self, start: *const u8, len: usize) {
        self.0.lock().unwrap().push((start as usize, len));
    }
}

/// Memory that a device sees as it is.
pub(crate) struct Coherent;

// SAFETY: there is no device.
unsafe impl DmaBarriers for Coherent {
    fn publish_tables(&self) {}
    fn before_doorbell(&self) {}
    fn after_completion(&self) {}
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

/// Registers in which what was written is read, and this value before.
#[derive(Default)]
pub(crate) struct Registers {
    written: Mutex<HashMap<usize, u64>>,
    before: u64,
}

impl Registers {
    pub(crate) fn with(before: u64) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }
}

// SAFETY: memory.
unsafe impl Mmio for Registers {
    fn len(&self) -> usize {
        0x2_0000
    }
    fn read32(&self, offset: usize) -> u32 {
        self.read64(offset) as u32
    }
    fn write32(&self, offset: usize, value: u32) {
        self.write64(offset, value.into());
    }
    fn read64(&self, offset: usize) -> u64 {
        let written = self.written.lock().unwrap();
        written.get(&offset).copied().unwrap_or(self.before)
    }
    fn write64(&self, offset: usize, value: u64) {
        self.written.lock().unwrap().insert(offset, value);
    }
}
