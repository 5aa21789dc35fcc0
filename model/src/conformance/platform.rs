//! The contract of `Platform`, as far as it can be seen.

mod answers;
mod clock;
mod interrupts;
mod masks;
mod nmi;
mod numbers;
mod wakes;

use super::cpus::{Check, Cpus, check_together};
use super::failure::Failure;
use super::passed::Passed;
use tlb_shootdown::cpu_set::{CpuId, CpuSet};
use tlb_shootdown::error::FlushError;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;

/// Checks a kernel's [`Platform`] on all CPUs that are online. Takes well under a second on hardware, and as long as the
/// engine's patience where a CPU does not answer.
///
/// # Errors
/// The first sentence of the contract that is found broken.
///
/// # Context
/// Task context on one CPU, interrupts on, no lock held, after every CPU has come online; no CPU comes or goes meanwhile. Flushes go
/// on as they like.
pub fn platform<P: Platform, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    cpus: &dyn Cpus,
) -> Result<Passed, Failure> {
    let subject = Subject {
        engine,
        cpus,
        online: engine.online_cpus(),
    };
    let mut passed = Passed::default();
    numbers::check(&subject, &mut passed)?;
    let offers = answers::check(&subject, &mut passed)?;
    clock::check(&subject, &mut passed)?;
    interrupts::check(&subject, &mut passed)?;
    masks::check(&subject, &mut passed)?;
    interrupts::check_both_ways(&subject, &mut passed)?;
    if offers.nmis {
        nmi::check(&subject, &mut passed)?;
    }
    if offers.wakes {
        wakes::check(&subject, &mut passed)?;
    }
    passed.skipped += u32::from(!offers.nmis) + u32::from(!offers.wakes);
    Ok(passed)
}

/// What is under test.
struct Subject<'a, P: Platform, const WORDS: usize> {
    engine: &'a Shootdown<P, WORDS>,
    cpus: &'a dyn Cpus,
    online: CpuSet<WORDS>,
}

impl<P: Platform, const WORDS: usize> Subject<'_, P, WORDS> {
    fn platform(&self) -> &P {
        self.engine.platform()
    }

    /// The CPUs other than this one.
    fn others(&self, me: CpuId) -> CpuSet<WORDS> {
        let mut others = self.online;
        others.remove(me);
        others
    }

    /// Each CPU with the first of the others.
    fn pairs(&self) -> impl Iterator<Item = (CpuId, CpuId)> + '_ {
        let partner = |one| Some((one, self.others(one).iter().next()?));
        self.online.iter().filter_map(partner)
    }

    /// Has two CPUs do something at the same time. Whether they could.
    fn check_pair(
        &self,
        pair: (CpuId, CpuId),
        first: impl Fn() -> Check + Sync,
        second: impl Fn() -> Check + Sync,
    ) -> Result<bool, Failure> {
        check_together(self.cpus, || match self.platform().cpu() {
            cpu if cpu == pair.0 => first(),
            cpu if cpu == pair.1 => second(),
            _ => Ok(()),
        })
    }

    /// The first of the CPUs that have not answered; the whole round where the engine refused it.
    fn round(&self) -> Result<(), Silent> {
        match self.engine.sync_lockless_walkers() {
            Ok(_) => Ok(()),
            Err(FlushError::Incomplete(incomplete)) => Err(Silent(incomplete.cpus.iter().next())),
            Err(FlushError::Refused(_)) => Err(Silent(None)),
        }
    }
}

/// A CPU did not answer, or it is not known which.
struct Silent(Option<CpuId>);

/// Turns within which one CPU of a pair has begun, and has done its part.
const TOGETHER: u32 = 4_000_000;

/// Turns of the platform's spin loop until something holds; whether it came to hold.
fn turns_until<P: Platform>(platform: &P, turns: u32, holds: impl Fn() -> bool) -> bool {
    for _ in 0..turns {
        if holds() {
            return true;
        }
        platform.relax();
    }
    holds()
}

/// A second on the clock.
const SECOND: u64 = 1_000_000_000;

/// The same, and no longer than a second where there is a clock.
fn soon<P: Platform>(platform: &P, turns: u32, mut holds: impl FnMut() -> bool) -> bool {
    let start = platform.now();
    for _ in 0..turns {
        if holds() {
            return true;
        }
        let passed = platform
            .now()
            .zip(start)
            .map(|(now, start)| now.saturating_sub(start));
        if passed.is_some_and(|passed| passed > SECOND) {
            break;
        }
        platform.relax();
    }
    holds()
}
