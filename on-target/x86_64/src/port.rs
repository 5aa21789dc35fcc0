//! The I/O ports.

use core::arch::asm;

/// Reads a byte.
///
/// # Safety
/// The read of this port has no effect on memory, here and below.
pub(crate) unsafe fn read8(port: u16) -> u8 {
    let value: u8;
    // SAFETY: the caller vouches for the port.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nostack, preserves_flags)) };
    value
}

/// Writes a byte.
///
/// # Safety
/// The write to this port has no effect on memory, here and below.
pub(crate) unsafe fn write8(port: u16, value: u8) {
    // SAFETY: the caller vouches for the port.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) };
}

/// Reads a double word.
///
/// # Safety
/// As for [`read8`].
pub(crate) unsafe fn read32(port: u16) -> u32 {
    let value: u32;
    // SAFETY: the caller vouches for the port.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags))
    };
    value
}

/// Writes a double word.
///
/// # Safety
/// As for [`write8`].
pub(crate) unsafe fn write32(port: u16, value: u32) {
    // SAFETY: the caller vouches for the port.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
    };
}

/// Writes a word.
///
/// # Safety
/// As for [`write8`].
pub(crate) unsafe fn write16(port: u16, value: u16) {
    // SAFETY: the caller vouches for the port.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nostack, preserves_flags)) };
}
