//! The clock: always or never there, moving, and one for all CPUs.

use super::{Subject, turns_until};
use crate::conformance::cpus::{Check, check_on, check_together};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::sync::atomic::{AtomicU64, Ordering};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::platform::Platform;

/// How often the question goes round the CPUs.
const ROUNDS: u32 = 4;

/// Looks of each CPU while all look.
const LOOKS: u32 = 64;

/// Turns between the load of another CPU's time and the look at the clock. A CPU may read its clock early, by as much as it looks
/// ahead of a load that misses; that is no clock that goes back.
const AHEAD: u32 = 32;

/// Turns within which the clock must have moved: a tick of ten milliseconds, in pauses of the fastest CPUs, with room.
const STILL: u32 = 4_000_000;

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    let platform = subject.platform();
    let clock = Clock {
        exists: platform.now().is_some(),
        latest: AtomicU64::new(0),
    };
    for _ in 0..ROUNDS {
        for cpu in subject.online.iter() {
            check_on(subject.cpus, cpu, || clock.look(platform, cpu))?;
        }
    }
    // There at all times, never back on one CPU, nor from one to another.
    passed.checks += 3;
    passed.note(check_together(subject.cpus, || {
        let _pin = platform.pin_cpu();
        let cpu = platform.cpu();
        (0..LOOKS).try_for_each(|_| clock.look(platform, cpu))
    })?);
    for cpu in subject.online.iter() {
        check_on(subject.cpus, cpu, || moves(platform, cpu))?;
    }
    passed.note(clock.exists);
    Ok(())
}

struct Clock {
    exists: bool,
    /// The latest time that any CPU has seen.
    latest: AtomicU64,
}

impl Clock {
    fn look<P: Platform>(&self, platform: &P, cpu: CpuId) -> Check {
        let before = self.latest.load(Ordering::SeqCst);
        (0..AHEAD).for_each(|_| platform.relax());
        let now = platform.now();
        if now.is_some() != self.exists {
            return Err(Failure::ClockComesAndGoes { cpu });
        }
        let now = now.unwrap_or(before);
        if now < before {
            return Err(Failure::ClockWentBack { cpu, before, now });
        }
        self.latest.fetch_max(now, Ordering::SeqCst);
        Ok(())
    }
}

fn moves<P: Platform>(platform: &P, cpu: CpuId) -> Check {
    let start = platform.now();
    if start.is_none() || turns_until(platform, STILL, || platform.now() != start) {
        Ok(())
    } else {
        Err(Failure::ClockStandsStill { cpu })
    }
}
