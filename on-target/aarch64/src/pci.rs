//! PCI: finding a function on bus 0 by its ids, giving it addresses, and letting it reach memory.

use core::sync::atomic::{AtomicU64, Ordering};

use tlb_shootdown::dma::{Mmio, VolatileMmio};
use tlb_shootdown_on_target_devices::{Function, Ids};

use crate::layout::{ECAM, ECAM_LEN, PCI_WINDOW, PCI_WINDOW_LEN, mapped};

/// Offsets in a function's configuration space (PCI 3.0, 6.1).
const ID: usize = 0x00;
const COMMAND: usize = 0x04;
const BAR_0: usize = 0x10;
/// Memory space and bus master enable.
const ENABLE: u32 = 1 << 1 | 1 << 2;

/// Next free address of the window.
static FREE: AtomicU64 = AtomicU64::new(PCI_WINDOW);

/// Finds the function with these ids on bus 0 (the requester id is also its SMMU stream id on this machine), places its BAR 0 and enables it. Called once for each function.
///
/// # Panics
/// Where the window has no room for the BAR.
pub fn find(ids: Ids) -> Option<Function> {
    // SAFETY: configuration space is mapped; nothing else uses it.
    let ecam = unsafe { VolatileMmio::new(mapped(ECAM), ECAM_LEN) };
    let wanted = u32::from(ids.device) << 16 | u32::from(ids.vendor);
    let requester = (0..256)
        .step_by(8)
        .find(|&requester| ecam.read32(config(requester, ID)) == wanted)?;
    let (base, len) = place_bar(&ecam, requester);
    let command = config(requester, COMMAND);
    ecam.write32(command, ecam.read32(command) | ENABLE);
    // SAFETY: the BAR was given these addresses, which are mapped and nobody else's.
    let registers = unsafe { VolatileMmio::new(mapped(base), len as usize) };
    Some(Function {
        requester,
        registers,
    })
}

/// ECAM: 4 KiB of configuration space for each function.
fn config(requester: u32, register: usize) -> usize {
    (requester as usize) << 12 | register
}

/// Gives a 32-bit memory BAR 0 its address; returns address and size.
fn place_bar(ecam: &VolatileMmio, requester: u32) -> (u64, u64) {
    let bar = config(requester, BAR_0);
    ecam.write32(bar, u32::MAX);
    let size = u64::from(!(ecam.read32(bar) & !0xf)) + 1;
    let base = FREE.load(Ordering::Relaxed).next_multiple_of(size);
    FREE.store(base + size, Ordering::Relaxed);
    assert!(
        base + size <= PCI_WINDOW + PCI_WINDOW_LEN,
        "no room for a BAR of {size:#x} bytes"
    );
    ecam.write32(bar, base as u32);
    (base, size)
}
