//! The other CPUs: each waits for work, does it, and waits again.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use tlb_shootdown_on_target_work::Desks;

use crate::{clock, psci};

/// CPUs of the machine.
pub const COUNT: usize = 4;

static DESKS: Desks<COUNT> = Desks::new(current, clock::wait_until);

/// Stand in for interrupts: looked at between two jobs.
static INTERRUPTED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

/// The CPU that runs this.
pub fn current() -> usize {
    let cpu: u64;
    // SAFETY: reads the register in which `boot.s` keeps the number.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) cpu, options(nomem, nostack, preserves_flags)) };
    cpu as usize
}

/// Starts all other CPUs and waits until they wait for work. Called once, by CPU 0.
///
/// # Panics
/// Where one does not start.
pub fn start() {
    for cpu in 1..COUNT {
        psci::start(cpu);
        DESKS.await_idle(cpu);
    }
}

/// Has `cpu` look into its mailbox as soon as it waits for work.
pub(crate) fn interrupt(cpu: usize) {
    INTERRUPTED[cpu].store(true, Ordering::Release);
}

/// Has `cpu` do `work`, and waits for the result. Called by CPU 0; on its own number it is a plain call.
///
/// # Panics
/// Where that CPU was not started or does not answer.
pub fn run_on<R: Send>(cpu: usize, work: impl FnOnce() -> R + Send) -> R {
    DESKS.run_on(cpu, work)
}

/// Has every CPU do `work` at the same time, given its number, and waits until all have. Called by CPU 0.
///
/// # Panics
/// As for [`run_on`].
pub fn run_everywhere(work: impl Fn(usize) + Sync) {
    DESKS.run_everywhere(work);
}

/// Whether the executing CPU was interrupted since it was last asked.
pub fn take_interrupt() -> bool {
    INTERRUPTED[current()].swap(false, Ordering::Acquire)
}

/// What every CPU but the first does; `interrupted` stands in for its interrupt handler.
pub(crate) fn serve(cpu: usize, interrupted: impl Fn()) -> ! {
    DESKS.serve(cpu, || {
        if INTERRUPTED[cpu].swap(false, Ordering::Acquire) {
            interrupted();
        }
        clock::relax();
    })
}
