//! The CPUs of the kernel under test, as the suite drives them.

use super::failure::Failure;
use crate::lock::Lock;
use tlb_shootdown::cpu_set::CpuId;

/// How the kernel runs a function on another of its CPUs.
///
/// # Context
/// Called in task context on one CPU, with interrupts on and no lock held.
pub trait Cpus: Sync {
    /// Runs `work` on this online CPU, in task context with interrupts on, and returns when it has ended: a plain call where it is the
    /// caller's own. Meanwhile every other CPU stays where it takes the shootdown interrupt, and leaves its mailbox to that.
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync));

    /// Runs `work` on every online CPU at the same time, as [`run_on`](Self::run_on) does on one, and returns true when all have ended.
    /// Whoever has ended takes the shootdown interrupt again.
    /// False, with nothing run, where the kernel cannot: what takes two CPUs at once is then not checked, and [`Passed`](super::Passed)
    /// says so.
    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        let _ = work;
        false
    }
}

/// What a check ends with.
pub(super) type Check = Result<(), Failure>;

/// Asks one CPU something.
pub(super) fn ask<C: Cpus + ?Sized, R: Send>(
    cpus: &C,
    cpu: CpuId,
    question: impl Fn() -> R + Sync,
) -> Result<R, Failure> {
    let answer = Lock::new(None);
    cpus.run_on(cpu, &|| {
        let given = question();
        answer.with(|slot| *slot = Some(given));
    });
    answer.with(Option::take).ok_or(Failure::NotRun { cpu })
}

/// Lets one CPU check something.
pub(super) fn check_on<C: Cpus + ?Sized>(
    cpus: &C,
    cpu: CpuId,
    check: impl Fn() -> Check + Sync,
) -> Check {
    ask(cpus, cpu, check)?
}

/// Lets all CPUs check something at once. Whether they could.
pub(super) fn check_together<C: Cpus + ?Sized>(
    cpus: &C,
    check: impl Fn() -> Check + Sync,
) -> Result<bool, Failure> {
    check_all(|work| cpus.run_together(work), check)
}

/// The same with whatever runs on several CPUs, and says whether it could.
pub(super) fn check_all(
    run: impl FnOnce(&(dyn Fn() + Sync)) -> bool,
    check: impl Fn() -> Check + Sync,
) -> Result<bool, Failure> {
    let first = Lock::new(None);
    let together = run(&|| {
        if let Err(failure) = check() {
            first.with(|slot| _ = slot.get_or_insert(failure));
        }
    });
    match first.with(Option::take) {
        Some(failure) => Err(failure),
        None => Ok(together),
    }
}
