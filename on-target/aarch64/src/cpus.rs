//! The other CPUs: each waits for work, does it, and waits again.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::{clock, psci};

/// CPUs of the machine.
pub const COUNT: usize = 4;

/// How long a CPU may take to answer.
const PATIENCE: u64 = 5_000_000_000;

const OFFLINE: u32 = 0;
const IDLE: u32 = 1;
const ASKED: u32 = 2;

/// Work for one CPU: a call with one argument. It is written by CPU 0 in state `IDLE`, read by its CPU in state `ASKED`.
struct Desk {
    state: AtomicU32,
    /// Stands in for an interrupt: looked at between two jobs.
    interrupted: AtomicBool,
    work: UnsafeCell<Option<Work>>,
}

/// A function and its argument.
type Work = (unsafe fn(*mut ()), *mut ());

// SAFETY: `state` hands `work` back and forth between CPU 0 and the desk's own CPU.
unsafe impl Sync for Desk {}

static DESKS: [Desk; COUNT] = [const {
    Desk {
        state: AtomicU32::new(OFFLINE),
        interrupted: AtomicBool::new(false),
        work: UnsafeCell::new(None),
    }
}; COUNT];

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
    for (cpu, desk) in DESKS.iter().enumerate().skip(1) {
        psci::start(cpu);
        let mut online = || desk.state.load(Ordering::Acquire) == IDLE;
        assert!(
            clock::wait_until(PATIENCE, &mut online),
            "CPU {cpu} does not report"
        );
    }
}

/// Has `cpu` look into its mailbox as soon as it waits for work.
pub(crate) fn interrupt(cpu: usize) {
    DESKS[cpu].interrupted.store(true, Ordering::Release);
}

/// Has `cpu` do `work`, and waits for the result. Called by CPU 0; on its own number it is a plain call.
///
/// # Panics
/// Where that CPU was not started or does not answer.
pub fn run_on<R: Send>(cpu: usize, work: impl FnOnce() -> R + Send) -> R {
    if cpu == current() {
        return work();
    }
    let mut call = Call {
        work: Some(work),
        result: None,
    };
    ask(cpu, &mut call);
    await_answer(cpu);
    call.result.expect("the CPU reported the work as done")
}

/// Has every CPU do `work` at the same time, given its number, and waits until all have. Called by CPU 0.
///
/// # Panics
/// As for [`run_on`].
pub fn run_everywhere(work: impl Fn(usize) + Sync) {
    let work = &work;
    let mut calls: [_; COUNT] = core::array::from_fn(|cpu| Call {
        work: Some(move || work(cpu)),
        result: None,
    });
    for (cpu, call) in calls.iter_mut().enumerate().skip(1) {
        ask(cpu, call);
    }
    work(0);
    (1..COUNT).for_each(await_answer);
}

struct Call<F, R> {
    work: Option<F>,
    result: Option<R>,
}

/// Gives `call` to an idle CPU. The caller keeps it in place and leaves it alone until [`await_answer`] has returned.
fn ask<F: FnOnce() -> R, R>(cpu: usize, call: &mut Call<F, R>) {
    /// Does the work behind the pointer, which is that of `ask`.
    unsafe fn perform<F: FnOnce() -> R, R>(call: *mut ()) {
        // SAFETY: the caller of `ask` lends its call until the desk is idle again.
        let call = unsafe { &mut *call.cast::<Call<F, R>>() };
        call.result = call.work.take().map(|work| work());
    }
    assert!(current() == 0, "work is handed out by CPU 0 alone");
    let desk = &DESKS[cpu];
    assert!(
        desk.state.load(Ordering::Acquire) == IDLE,
        "CPU {cpu} is not waiting for work"
    );
    // SAFETY: the desk is idle, so its CPU does not look at `work`.
    unsafe { *desk.work.get() = Some((perform::<F, R>, core::ptr::from_mut(call).cast())) };
    desk.state.store(ASKED, Ordering::Release);
}

/// A CPU that does not answer ends the run, so that what it was lent is never taken back too early.
fn await_answer(cpu: usize) {
    let mut done = || DESKS[cpu].state.load(Ordering::Acquire) == IDLE;
    assert!(
        clock::wait_until(PATIENCE, &mut done),
        "CPU {cpu} does not answer"
    );
}

/// What every CPU but the first does; `interrupted` stands in for its interrupt handler.
pub(crate) fn serve(cpu: usize, interrupted: impl Fn()) -> ! {
    let desk = &DESKS[cpu];
    loop {
        desk.state.store(IDLE, Ordering::Release);
        while desk.state.load(Ordering::Acquire) != ASKED {
            if desk.interrupted.swap(false, Ordering::Acquire) {
                interrupted();
            }
            clock::relax();
        }
        // SAFETY: asked, so CPU 0 leaves `work` alone until the desk is idle.
        let work = unsafe { (*desk.work.get()).take() };
        if let Some((perform, call)) = work {
            // SAFETY: CPU 0 lends the call until the desk is idle again.
            unsafe { perform(call) };
        }
    }
}
