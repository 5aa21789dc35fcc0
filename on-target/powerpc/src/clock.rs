//! The time base as a clock.

use crate::spr;

/// Counts of the time base in a second, on every machine that QEMU knows.
const FREQUENCY: u64 = 512_000_000;

/// Nanoseconds since the machine started; the same on every CPU.
pub fn now() -> u64 {
    let counts = spr::read::<{ spr::TIME_BASE }>();
    (u128::from(counts) * 1_000_000_000 / u128::from(FREQUENCY)) as u64
}

/// Waits until `done`, one `yield` a turn, so that the emulator runs the other CPUs; false after `nanoseconds`.
pub fn wait_until(nanoseconds: u64, done: &mut dyn FnMut() -> bool) -> bool {
    let end = now() + nanoseconds;
    loop {
        if done() {
            return true;
        }
        if now() > end {
            return false;
        }
        relax();
    }
}

/// One turn of a spin loop.
pub fn relax() {
    // SAFETY: a hint (Power ISA 3.0B, Book II, "Program Priority Registers"; QEMU runs another CPU).
    unsafe { core::arch::asm!("or 27, 27, 27", options(nomem, nostack, preserves_flags)) };
}
