//! Work for the other CPUs of a bare-metal kernel: each waits for some, does it, and waits again.
#![cfg_attr(not(test), no_std)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

/// How long a CPU may take to answer, in nanoseconds.
const PATIENCE: u64 = 5_000_000_000;

const OFFLINE: u32 = 0;
const IDLE: u32 = 1;
const ASKED: u32 = 2;

/// Waits until something holds; false when so many nanoseconds have passed before.
pub type WaitUntil = fn(u64, &mut dyn FnMut() -> bool) -> bool;

/// One desk for each CPU. CPU 0 hands work out.
pub struct Desks<const CPUS: usize> {
    desks: [Desk; CPUS],
    current: fn() -> usize,
    wait_until: WaitUntil,
}

/// Work for one CPU: a call with one argument. It is written by CPU 0 in state `IDLE`, read by its CPU in state `ASKED`.
struct Desk {
    state: AtomicU32,
    work: UnsafeCell<Option<Work>>,
}

/// A function and its argument.
type Work = (unsafe fn(*mut ()), *mut ());

// SAFETY: `state` hands `work` back and forth between CPU 0 and the desk's own CPU.
unsafe impl Sync for Desk {}

impl<const CPUS: usize> Desks<CPUS> {
    /// Desks at which nobody sits. `current` gives the number of the CPU that calls it.
    pub const fn new(current: fn() -> usize, wait_until: WaitUntil) -> Self {
        Self {
            desks: [const {
                Desk {
                    state: AtomicU32::new(OFFLINE),
                    work: UnsafeCell::new(None),
                }
            }; CPUS],
            current,
            wait_until,
        }
    }

    /// Waits until `cpu`, which was started, waits for work.
    ///
    /// # Panics
    /// Where it does not report, and below where a CPU was not started or does not answer.
    pub fn await_idle(&self, cpu: usize) {
        let mut idle = || self.desks[cpu].state.load(Ordering::Acquire) == IDLE;
        // Whoever does not answer ends the run, so that what it was lent is never taken back too early.
        assert!(
            (self.wait_until)(PATIENCE, &mut idle),
            "CPU {cpu} does not answer"
        );
    }

    /// Has `cpu` do `work`, and waits for the result. Called by CPU 0; on its own number it is a plain call.
    pub fn run_on<R: Send>(&self, cpu: usize, work: impl FnOnce() -> R + Send) -> R {
        if cpu == (self.current)() {
            return work();
        }
        let mut call = Call {
            work: Some(work),
            result: None,
        };
        self.ask(cpu, &mut call);
        self.await_idle(cpu);
        call.result.expect("the CPU reported the work as done")
    }

    /// Has every CPU do `work` at the same time, given its number, and waits until all have. Called by CPU 0.
    pub fn run_everywhere(&self, work: impl Fn(usize) + Sync) {
        let work = &work;
        let mut calls: [_; CPUS] = core::array::from_fn(|cpu| Call {
            work: Some(move || work(cpu)),
            result: None,
        });
        for (cpu, call) in calls.iter_mut().enumerate().skip(1) {
            self.ask(cpu, call);
        }
        work(0);
        (1..CPUS).for_each(|cpu| self.await_idle(cpu));
    }

    /// Gives `call` to an idle CPU. The caller keeps it in place and leaves it alone until [`Self::await_idle`] has returned.
    fn ask<F: FnOnce() -> R, R>(&self, cpu: usize, call: &mut Call<F, R>) {
        assert!((self.current)() == 0, "work is handed out by CPU 0 alone");
        let desk = &self.desks[cpu];
        assert!(
            desk.state.load(Ordering::Acquire) == IDLE,
            "CPU {cpu} is not waiting for work"
        );
        // SAFETY: the desk is idle, so its CPU does not look at `work`.
        unsafe { *desk.work.get() = Some((perform::<F, R>, core::ptr::from_mut(call).cast())) };
        desk.state.store(ASKED, Ordering::Release);
    }

    /// What every CPU but the first does; `turn` is called in every turn of its wait.
    pub fn serve(&self, cpu: usize, mut turn: impl FnMut()) -> ! {
        let desk = &self.desks[cpu];
        loop {
            desk.state.store(IDLE, Ordering::Release);
            while desk.state.load(Ordering::Acquire) != ASKED {
                turn();
            }
            // SAFETY: asked, so CPU 0 leaves `work` alone until the desk is idle.
            let work = unsafe { (*desk.work.get()).take() };
            if let Some((perform, call)) = work {
                // SAFETY: CPU 0 lends the call until the desk is idle again.
                unsafe { perform(call) };
            }
        }
    }
}

struct Call<F, R> {
    work: Option<F>,
    result: Option<R>,
}

/// Does the work behind the pointer.
///
/// # Safety
/// It is that of a `Call` of these types, lent until the desk is idle again.
unsafe fn perform<F: FnOnce() -> R, R>(call: *mut ()) {
    // SAFETY: the caller's promise.
    let call = unsafe { &mut *call.cast::<Call<F, R>>() };
    call.result = call.work.take().map(|work| work());
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    thread_local!(static CPU: Cell<usize> = const { Cell::new(0) });

    fn current() -> usize {
        CPU.get()
    }

    fn wait_until(nanoseconds: u64, done: &mut dyn FnMut() -> bool) -> bool {
        let end = Instant::now() + Duration::from_nanos(nanoseconds);
        while !done() {
            if Instant::now() > end {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    /// Three CPUs, two of them threads that never end.
    fn desks() -> &'static Desks<3> {
        let desks: &'static Desks<3> = Box::leak(Box::new(Desks::new(current, wait_until)));
        for cpu in 1..3 {
            thread::spawn(move || {
                CPU.set(cpu);
                desks.serve(cpu, thread::yield_now)
            });
            desks.await_idle(cpu);
        }
        desks
    }

    #[test]
    fn work_is_done_by_the_cpu_that_was_asked() {
        let desks = desks();
        for cpu in [0, 2, 1, 2] {
            assert_eq!(desks.run_on(cpu, current), cpu);
        }
    }

    #[test]
    fn everybody_works_at_the_same_time() {
        let desks = desks();
        let begun = AtomicUsize::new(0);
        desks.run_everywhere(|cpu| {
            assert_eq!(cpu, current());
            begun.fetch_add(1, Ordering::SeqCst);
            let mut all = || begun.load(Ordering::SeqCst) == 3;
            assert!(wait_until(PATIENCE, &mut all));
        });
    }

    #[test]
    #[should_panic(expected = "is not waiting for work")]
    fn a_cpu_that_was_not_started_is_not_asked() {
        let desks = Desks::<2>::new(current, wait_until);
        desks.run_on(1, current);
    }
}
