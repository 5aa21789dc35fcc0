//! PCI: finding a function on bus 0 by its ids, giving it addresses, and letting it reach memory.

use core::sync::atomic::{AtomicU64, Ordering};

use tlb_shootdown::dma::VolatileMmio;
use tlb_shootdown_on_target_devices::{Function, Ids};

use crate::layout::{PCI_WINDOW, PCI_WINDOW_LEN, mapped};
use crate::port;

/// Configuration mechanism 1 (PCI 3.0, 3.2.2.3.2).
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLED: u32 = 1 << 31;

/// Offsets in a function's configuration space (PCI 3.0, 6.1).
const ID: u32 = 0x00;
const COMMAND: u32 = 0x04;
const BAR_0: u32 = 0x10;
const CAPABILITIES: u32 = 0x34;
/// Memory space and bus master enable.
const ENABLE: u32 = 1 << 1 | 1 << 2;

/// Next free address of the window.
static FREE: AtomicU64 = AtomicU64::new(PCI_WINDOW);

/// Finds the function with these ids on bus 0, places its BAR 0 and enables it. Called once for each function, by one CPU.
///
/// # Panics
/// Where the window has no room for the BAR.
pub fn find(ids: Ids) -> Option<Function> {
    let requester = search(ids)?;
    let (base, len) = place_bar(requester);
    write(requester, COMMAND, read(requester, COMMAND) | ENABLE);
    // SAFETY: the BAR was given these addresses, which are mapped and nobody else's.
    let registers = unsafe { VolatileMmio::new(mapped(base), len as usize) };
    Some(Function {
        requester,
        registers,
    })
}

/// The first double word of a capability (PCI 3.0, 6.7) of the function with these ids on bus 0.
pub(crate) fn capability(ids: Ids, id: u8) -> Option<u32> {
    let requester = search(ids)?;
    let mut at = read(requester, CAPABILITIES) & 0xfc;
    // There is room for so many.
    for _ in 0..48 {
        if at == 0 {
            break;
        }
        let word = read(requester, at);
        if word as u8 == id {
            return Some(word);
        }
        at = word >> 8 & 0xfc;
    }
    None
}

fn search(ids: Ids) -> Option<u32> {
    let wanted = u32::from(ids.device) << 16 | u32::from(ids.vendor);
    (0..256)
        .step_by(8)
        .find(|&requester| read(requester, ID) == wanted)
}

/// Gives a 32-bit memory BAR 0 its address; returns address and size.
fn place_bar(requester: u32) -> (u64, u64) {
    write(requester, BAR_0, u32::MAX);
    let size = u64::from(!(read(requester, BAR_0) & !0xf)) + 1;
    let base = FREE.load(Ordering::Relaxed).next_multiple_of(size);
    FREE.store(base + size, Ordering::Relaxed);
    assert!(
        base + size <= PCI_WINDOW + PCI_WINDOW_LEN,
        "no room for a BAR of {size:#x} bytes"
    );
    write(requester, BAR_0, base as u32);
    (base, size)
}

fn read(requester: u32, register: u32) -> u32 {
    select(requester, register);
    // SAFETY: a read of configuration space.
    unsafe { port::read32(DATA) }
}

fn write(requester: u32, register: u32, value: u32) {
    select(requester, register);
    // SAFETY: the registers written here let a device reach memory; what it does there is up to its driver.
    unsafe { port::write32(DATA, value) };
}

fn select(requester: u32, register: u32) {
    // SAFETY: an address alone.
    unsafe { port::write32(ADDRESS, ENABLED | requester << 8 | register) };
}
