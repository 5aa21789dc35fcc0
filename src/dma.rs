//! Device registers, memory shared with devices, and the barriers between the two.

use crate::address::PhysAddr;
use core::ptr::NonNull;

/// A block of device registers, addressed by byte offset.
///
/// The drivers of this crate reach hardware through this trait alone, so that the model can stand in for a device
/// with registers that are written to clear, toggle, or cannot be read.
///
/// # Implementation safety
/// Every access is exactly one access of that width, little-endian, in program order with the others to the same block
/// (Device-nGnRE or uncached memory), and is neither repeated nor elided. An access beyond the block reads as all
/// ones or is dropped, like one that no device answers; the drivers check [`len`](Self::len) first.
///
/// # Context
/// Called with the ring lock held and interrupts off: implementations neither sleep nor log.
#[allow(
    clippy::len_without_is_empty,
    reason = "a register block is never empty"
)]
pub unsafe trait Mmio: Sync {
    /// The size of the block in bytes.
    fn len(&self) -> usize;
    /// Reads a 32-bit register.
    fn read32(&self, offset: usize) -> u32;
    /// Writes a 32-bit register.
    fn write32(&self, offset: usize, value: u32);
    /// Reads a 64-bit register.
    fn read64(&self, offset: usize) -> u64;
    /// Writes a 64-bit register.
    fn write64(&self, offset: usize, value: u64);
}

/// The production [`Mmio`]: volatile accesses to a mapped register block.
#[derive(Debug)]
pub struct VolatileMmio {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the block is device memory that any CPU may access; the exclusive rights of `VolatileMmio::new` pass to the value.
unsafe impl Send for VolatileMmio {}
// SAFETY: every access is one volatile access of the register's own width, which hardware serialises.
unsafe impl Sync for VolatileMmio {}

impl VolatileMmio {
    /// Takes over the register block at `base`.
    ///
    /// # Safety
    /// `base` is 8-byte aligned and mapped as device memory for `len` bytes, for as long as the value lives, and nothing
    /// else accesses those registers.
    pub const unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len }
    }

    /// The register at `offset`, or nothing where it does not lie within the block.
    fn at<T>(&self, offset: usize) -> Option<volatile::VolatilePtr<'_, T>> {
        let width = core::mem::size_of::<T>();
        if !offset.is_multiple_of(width) || offset.checked_add(width)? > self.len {
            return None;
        }
        // SAFETY: the offset was checked to lie within the block that `new` was promised.
        let register = unsafe { self.base.byte_add(offset) };
        // SAFETY: aligned by the check above and by `new`; valid and unaliased for the value's life.
        Some(unsafe { volatile::VolatilePtr::new(register.cast()) })
    }
}

// SAFETY: `VolatilePtr` reads and writes are single volatile accesses of the type's width.
unsafe impl Mmio for VolatileMmio {
    fn len(&self) -> usize {
        self.len
    }

    fn read32(&self, offset: usize) -> u32 {
        self.at::<u32>(offset)
            .map_or(u32::MAX, |register| u32::from_le(register.read()))
    }

    fn write32(&self, offset: usize, value: u32) {
        if let Some(register) = self.at::<u32>(offset) {
            register.write(value.to_le());
        }
    }

    fn read64(&self, offset: usize) -> u64 {
        self.at::<u64>(offset)
            .map_or(u64::MAX, |register| u64::from_le(register.read()))
    }

    fn write64(&self, offset: usize, value: u64) {
        if let Some(register) = self.at::<u64>(offset) {
            register.write(value.to_le());
        }
    }
}

/// The barriers between memory shared with a device and that device's registers.
///
/// # Implementation safety
/// Each method is also a compiler barrier for all memory, and does at least what its text says on every interconnect
/// the device may sit on.
pub unsafe trait DmaBarriers: Sync {
    /// Makes earlier stores to page tables and to configuration tables visible to the device's walker.
    ///
    /// On AArch64 `dsb ishst` reaches a walker in the inner-shareable domain only.
    fn publish_tables(&self);

    /// Orders earlier stores to a queue before the doorbell write that follows (AArch64: `dsb oshst`).
    fn before_doorbell(&self);

    /// Orders the read that showed a completion before everything that follows.
    fn after_completion(&self);

    /// Writes the cache lines of `[start, start + len)` back to the point that the device reads from; nothing to do
    /// where the device is coherent.
    fn clean_lines(&self, start: *const u8, len: usize);
}

/// Memory that a driver shares with a device: where the CPU and where the device find it.
#[derive(Debug)]
pub struct DmaRegion {
    virt: NonNull<u8>,
    phys: PhysAddr,
    len: usize,
}

// SAFETY: the region is plain memory whose ownership `DmaRegion::new` takes over.
unsafe impl Send for DmaRegion {}

impl DmaRegion {
    /// Takes over `len` bytes at `virt`, which the device reaches at `phys`.
    ///
    /// # Safety
    /// The memory is physically contiguous, mapped readable and writable for as long as anything built on the region is in
    /// use, coherent with the device or kept so by [`DmaBarriers::clean_lines`], and nothing else accesses it.
    pub const unsafe fn new(virt: NonNull<u8>, phys: PhysAddr, len: usize) -> Self {
        Self { virt, phys, len }
    }

    /// Where the CPU finds it.
    pub const fn virt(&self) -> NonNull<u8> {
        self.virt
    }

    /// Where the device finds it.
    pub const fn phys(&self) -> PhysAddr {
        self.phys
    }

    /// Its length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no byte.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}
