//! Whether this CPU takes interrupts.

use core::arch::asm;

/// IF of RFLAGS.
const TAKEN: u64 = 1 << 9;

/// Interrupts are off until this is dropped, and are then as they were.
#[derive(Debug)]
pub struct Off {
    were_taken: bool,
}

/// Turns interrupts off on this CPU.
pub fn off() -> Off {
    let flags: u64;
    // SAFETY: the flags are read; the order with memory is kept.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    Off {
        were_taken: flags & TAKEN != 0,
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        if self.were_taken {
            on();
        }
    }
}

/// Lets this CPU take interrupts.
pub(crate) fn on() {
    // SAFETY: every vector has a handler.
    unsafe { asm!("sti", options(nostack)) };
}
