//! Where the other CPUs start: below 1 MiB, in 16-bit mode.

use core::ptr::NonNull;

use crate::layout::{TRAMPOLINE, mapped};

unsafe extern "C" {
    /// The code, in `boot.s`, and its end.
    static trampoline: [u8; 0];
    static trampoline_end: [u8; 0];
}

/// Copies the code with which the other CPUs start to where they can start.
pub(crate) fn place() {
    let start = &raw const trampoline;
    let len = (&raw const trampoline_end).addr() - start.addr();
    let place: NonNull<u8> = mapped(TRAMPOLINE);
    // SAFETY: `boot.s` defines so many bytes; the page is mapped and nobody else's.
    unsafe { place.as_ptr().copy_from(start.cast(), len) };
}
