//! Memory that drivers share with their devices, with guards on both sides that nobody may write to.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::DmaRegion;

const GUARD: usize = 64;
const FILL: u8 = 0xa5;

struct Block {
    base: NonNull<u8>,
    layout: Layout,
    /// Where the region lies in it.
    region: core::ops::Range<usize>,
}

/// Regions that live as long as the arena: it goes after the driver.
#[derive(Default)]
pub(super) struct Arena(RefCell<Vec<Block>>);

impl Arena {
    /// A zeroed region at the physical address that is its virtual one.
    pub(super) fn region(&self, len: usize, align: usize) -> DmaRegion {
        let margin = align.max(GUARD);
        let layout = Layout::from_size_align(len + 2 * margin, margin).expect("a power of two");
        // SAFETY: the layout has at least the guards.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        let block = Block {
            base,
            layout,
            region: margin..margin + len,
        };
        block
            .guards()
            .into_iter()
            .for_each(|at| block.set(at, FILL));
        // SAFETY: the margin lies within the block.
        let virt = unsafe { base.add(margin) };
        self.0.borrow_mut().push(block);
        // SAFETY: the driver and its device alone use it, and both go before the arena does.
        unsafe { DmaRegion::new(virt, PhysAddr::new(virt.as_ptr() as u64), len) }
    }

    /// Nobody has written beside a region.
    pub(super) fn assert_guards(&self) {
        for block in self.0.borrow().iter() {
            for at in block.guards() {
                assert_eq!(block.get(at), FILL, "byte {at} of {:?}", block.region);
            }
        }
    }
}

impl Block {
    fn guards(&self) -> Vec<usize> {
        let core::ops::Range { start, end } = self.region;
        (start - GUARD..start).chain(end..end + GUARD).collect()
    }

    fn get(&self, at: usize) -> u8 {
        let byte = self.base.as_ptr().wrapping_add(at);
        // SAFETY: guards lie within the block.
        unsafe { byte.read_volatile() }
    }

    fn set(&self, at: usize, value: u8) {
        let byte = self.base.as_ptr().wrapping_add(at);
        // SAFETY: guards lie within the block.
        unsafe { byte.write_volatile(value) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for block in self.0.borrow().iter() {
            // SAFETY: allocated with this layout, and freed once.
            unsafe { dealloc(block.base.as_ptr(), block.layout) };
        }
    }
}

/// A word of memory that a driver shares.
pub(super) fn load(at: u64) -> u64 {
    // SAFETY: the units name words within the regions that the driver gave them, and check that before.
    unsafe { (at as *const u64).read_volatile() }
}

/// Stores a word of that memory.
pub(super) fn store(at: u64, value: u64) {
    // SAFETY: as in `load`.
    unsafe { (at as *mut u64).write_volatile(value) }
}

/// As [`store`] for half a word.
pub(super) fn store32(at: u64, value: u32) {
    // SAFETY: as in `load`.
    unsafe { (at as *mut u32).write_volatile(value) }
}
