//! The other CPUs: each waits for work, does it, and waits again.

use core::sync::atomic::{AtomicBool, Ordering};

use tlb_shootdown_on_target_work::Desks;

use crate::{clock, interrupts, rtas, spr};

/// CPUs of the machine.
pub const COUNT: usize = 4;

static DESKS: Desks<COUNT> = Desks::new(current, clock::wait_until);

/// Without firmware all threads start together: each waits here, in real mode, until it is wanted.
static WANTED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

/// The CPU that runs this.
pub fn current() -> usize {
    spr::read::<{ spr::CPU_NUMBER }>() as usize
}

/// The number by which a doorbell reaches a CPU, four for each core; the reverse stands in `boot.s`.
pub(crate) fn pir(cpu: usize) -> u64 {
    cpu as u64 * 4
}

/// Starts all other CPUs and waits until they wait for work. Called once, by CPU 0.
///
/// # Panics
/// Where one does not start.
pub fn start() {
    for (cpu, wanted) in WANTED.iter().enumerate().skip(1) {
        if spr::is_hypervisor() {
            wanted.store(true, Ordering::Release);
        } else {
            rtas::start(cpu);
        }
        DESKS.await_idle(cpu);
    }
}

/// Waits until this CPU is wanted.
pub(crate) fn await_start(cpu: usize) {
    while spr::is_hypervisor() && !WANTED[cpu].load(Ordering::Acquire) {
        clock::relax();
    }
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

/// What every CPU but the first does. It takes interrupts all the while, in its work as well.
pub(crate) fn serve(cpu: usize) -> ! {
    interrupts::on();
    DESKS.serve(cpu, clock::relax)
}
