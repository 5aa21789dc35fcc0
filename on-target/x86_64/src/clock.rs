//! The time-stamp counter as a clock.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::port;

/// Counts of the time-stamp counter in a second.
static FREQUENCY: AtomicU64 = AtomicU64::new(0);

/// Counter 2 of the 8254, its mode register, and the port with its gate (bit 0), the speaker (bit 1) and its output (bit 5).
const COUNTER_2: u16 = 0x42;
const MODE: u16 = 0x43;
const GATE: u16 = 0x61;
/// Counts of the 8254 in a second.
const PIT_FREQUENCY: u64 = 1_193_182;
/// What is counted down: some 10 ms.
const PIT_COUNTS: u16 = 11_932;

/// Measures the time-stamp counter by the 8254. Called once, by the first CPU, before any other function here.
pub(crate) fn init() {
    let [low, high] = PIT_COUNTS.to_le_bytes();
    let set = |port, value| {
        // SAFETY: the 8254 reaches no memory.
        unsafe { port::write8(port, value) }
    };
    // SAFETY: a status register.
    let gate = || unsafe { port::read8(GATE) };
    set(GATE, gate() & !0b11);
    // Counter 2, both bytes, mode 0: the output rises at the end. It counts from the rise of the gate on.
    set(MODE, 0b1011_0000);
    set(COUNTER_2, low);
    set(COUNTER_2, high);
    set(GATE, gate() | 1);
    let start = counts();
    while gate() & 1 << 5 == 0 {
        core::hint::spin_loop();
    }
    let passed = counts() - start;
    let frequency = passed * PIT_FREQUENCY / u64::from(PIT_COUNTS);
    FREQUENCY.store(frequency, Ordering::Relaxed);
}

/// Nanoseconds since the machine started; the same on every CPU.
pub fn now() -> u64 {
    let frequency = FREQUENCY.load(Ordering::Relaxed);
    (u128::from(counts()) * 1_000_000_000 / u128::from(frequency)) as u64
}

fn counts() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter; the fence keeps it from being read early.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Waits until `done`, one `pause` a turn, so that the emulator runs the other CPUs; false after `nanoseconds`.
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
}

/// How long an IOMMU may take to answer.
const PATIENCE: u64 = 2_000_000_000;

/// A wait for an IOMMU that ends.
pub(crate) fn patience() -> impl FnMut() -> bool {
    let end = now() + PATIENCE;
    move || {
        relax();
        now() < end
    }
}
