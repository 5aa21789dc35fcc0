//! The generic timer as a clock.

use core::arch::asm;

/// Nanoseconds since the machine started; the same on every CPU.
pub fn now() -> u64 {
    let (count, frequency): (u64, u64);
    // SAFETY: reads two registers; the barrier keeps the count from being read early.
    unsafe {
        asm!("isb", "mrs {}, cntvct_el0", "mrs {}, cntfrq_el0", out(reg) count, out(reg) frequency,
             options(nostack, preserves_flags));
    }
    (u128::from(count) * 1_000_000_000 / u128::from(frequency)) as u64
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
    core::hint::spin_loop();
    // SAFETY: a hint. `spin_loop` is ISB on this architecture, which does not let the emulator switch CPUs.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}
