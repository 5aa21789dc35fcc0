//! Physical memory: frames with owners, and blocks that a driver shares with a device.

mod amd_host;
mod block;
pub mod descriptor;
mod format;
mod frames;
pub mod radix;
mod store_buffer;
mod tables;
pub(crate) mod walk;
pub mod x86_64;

pub(crate) use block::Block;
pub use descriptor::Mapping;
pub(crate) use format::Format;
pub(crate) use frames::{Frames, Owner};
pub(crate) use store_buffer::StoreBuffer;
pub use tables::Tables;

use alloc::vec::Vec;
use core::ptr::NonNull;

/// The machine's memory.
///
/// Frames (page tables and data) are reached through the model alone. Blocks lie in host memory, because drivers write queues and
/// configuration tables through pointers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) frames: Frames,
    blocks: Vec<Block>,
}

impl Memory {
    /// Shares `len` bytes, aligned to `align`, with devices: where the driver finds them, and where the device does.
    pub(crate) fn share(&mut self, len: u64, align: u64) -> (NonNull<u8>, u64) {
        let base = self.frames.reserve(len, align.max(0x1000));
        let block = Block::new(base, len);
        let pointer = block.pointer();
        self.blocks.push(block);
        (pointer, base)
    }

    /// The word at `pa` as a CPU's walker or a data access finds it. Memory that nobody owns reads as zero.
    pub(crate) fn read(&self, pa: u64) -> u64 {
        match self.block(pa) {
            Some(block) => block.live(pa),
            None => self.frames.read(pa),
        }
    }

    /// Writes the word at `pa`.
    pub(crate) fn write(&mut self, pa: u64, value: u64) {
        match self.blocks.iter_mut().find(|block| block.holds(pa)) {
            Some(block) => block.write(pa, value),
            None => self.frames.write(pa, value),
        }
    }

    /// The word at `pa` as a device finds it, which is what the last barrier published of a block; nothing where no memory answers.
    pub(crate) fn device_read(&self, pa: u64) -> Option<u64> {
        match self.block(pa) {
            Some(block) => Some(block.published(pa)),
            None => self.frames.exists(pa).then(|| self.frames.read(pa)),
        }
    }

    /// A device's 32-bit write. False where no memory answers.
    pub(crate) fn device_write32(&mut self, pa: u64, value: u32) -> bool {
        let (word, shift) = (pa & !7, (pa & 4) * 8);
        let (mask, value) = (0xffff_ffff << shift, u64::from(value) << shift);
        if let Some(block) = self.blocks.iter_mut().find(|block| block.holds(word)) {
            block.merge(word, mask, value);
            return true;
        }
        if !self.frames.exists(word) {
            return false;
        }
        self.frames
            .write(word, self.frames.read(word) & !mask | value);
        true
    }

    /// The word at `pa` as a device finds it that does not snoop the CPUs' caches: of a block, what was cleaned.
    pub(crate) fn uncached_read(&self, pa: u64) -> Option<u64> {
        match self.block(pa) {
            Some(block) => Some(block.cleaned(pa)),
            None => self.device_read(pa),
        }
    }

    /// Cleans the cache lines that hold `len` bytes at `start`, where drivers find them.
    pub(crate) fn clean(&mut self, start: usize, len: usize) {
        for block in &mut self.blocks {
            block.clean(start, len);
        }
    }

    /// Makes what drivers wrote into blocks visible to devices.
    pub(crate) fn publish(&mut self) {
        for block in &mut self.blocks {
            block.publish();
        }
    }

    fn block(&self, pa: u64) -> Option<&Block> {
        self.blocks.iter().find(|block| block.holds(pa))
    }
}
