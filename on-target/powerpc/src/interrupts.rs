//! Whether this CPU takes interrupts.

use core::arch::asm;

use crate::spr::{EXTERNAL, machine_state};

/// RI, which the instruction below sets together with EE.
const RECOVERABLE: u64 = 1 << 1;

/// Interrupts are off until this is dropped, and are then as they were.
#[derive(Debug)]
pub struct Off {
    were_taken: bool,
}

/// Turns interrupts off on this CPU.
pub fn off() -> Off {
    let were_taken = machine_state() & EXTERNAL != 0;
    set(RECOVERABLE);
    Off { were_taken }
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
    set(EXTERNAL | RECOVERABLE);
}

fn set(bits: u64) {
    // SAFETY: with L = 1 EE and RI alone change; every vector has a handler; the order with memory is kept.
    unsafe { asm!("mtmsrd {}, 1", in(reg) bits, options(nostack, preserves_flags)) };
}
