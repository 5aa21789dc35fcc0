//! Memory for scripted IOMMUs.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::alloc::{Layout, alloc_zeroed};
use std::ptr::NonNull;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::DmaRegion;

/// Memory that lives as long as the test, at the physical address that is its virtual one.
pub(crate) fn region(len: usize, align: usize) -> DmaRegion {
    let layout = Layout::from_size_align(len, align).unwrap();
    // SAFETY: no layout here has size 0.
    let virt = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
    // SAFETY: the memory is never freed, and the test and its device alone use it.
    unsafe { DmaRegion::new(virt, PhysAddr::new(virt.as_ptr() as u64), len) }
}

/// A region that starts `offset` bytes into an aligned one.
pub(crate) fn region_off_by(offset: usize, len: usize, align: usize) -> DmaRegion {
    let whole = region(len + align, align);
    // SAFETY: `offset` is at most `align`, which was added.
    let virt = unsafe { whole.virt().add(offset) };
    // SAFETY: as in `region`.
    unsafe { DmaRegion::new(virt, PhysAddr::new(virt.as_ptr() as u64), len) }
}
