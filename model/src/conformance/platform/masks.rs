//! Masked interrupts: no handler runs while one guard of several lives, and handlers run again after the last.

use super::{Subject, TOGETHER, turns_until};
use crate::conformance::cpus::Check;
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::sync::atomic::{AtomicBool, Ordering};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::platform::Platform;

/// Turns for which interrupts stay off once one has been sent.
const OFF: u32 = 2_000;

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    for (holder, asker) in subject.pairs() {
        let scene = Scene {
            subject,
            holder,
            masked: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            over: AtomicBool::new(false),
        };
        let pair = (holder, asker);
        let together = subject.check_pair(pair, || scene.hold(), || scene.ask())?;
        if !together {
            passed.skipped += 2;
            return Ok(());
        }
    }
    passed.checks += 2;
    Ok(())
}

/// One CPU with interrupts off, and another that waits for its answer.
struct Scene<'a, P: Platform, const WORDS: usize> {
    subject: &'a Subject<'a, P, WORDS>,
    holder: CpuId,
    masked: AtomicBool,
    asked: AtomicBool,
    answered: AtomicBool,
    /// The holder waits no longer for the asker.
    over: AtomicBool,
}

impl<P: Platform, const WORDS: usize> Scene<'_, P, WORDS> {
    fn hold(&self) -> Check {
        let platform = self.subject.platform();
        let cpu = self.holder;
        let outer = platform.irq_save();
        // Neither of these may turn interrupts on again.
        drop(platform.irq_save());
        drop(platform.pin_cpu());
        self.masked.store(true, Ordering::Release);
        if !turns_until(platform, TOGETHER, || self.asked.load(Ordering::Acquire)) {
            self.over.store(true, Ordering::Release);
            return Err(Failure::NotTogether { cpu });
        }
        if turns_until(platform, OFF, || self.answered.load(Ordering::Acquire)) {
            return Err(Failure::InterruptedWhileOff { cpu });
        }
        // Its work ends here, so that from here on it takes the interrupt.
        drop(outer);
        Ok(())
    }

    fn ask(&self) -> Check {
        let platform = self.subject.platform();
        let masked = turns_until(platform, TOGETHER, || self.masked.load(Ordering::Acquire));
        if !masked || self.over.load(Ordering::Acquire) {
            let cpu = self.holder;
            return Err(Failure::NotTogether { cpu });
        }
        self.asked.store(true, Ordering::Release);
        let round = self.subject.round();
        self.answered.store(round.is_ok(), Ordering::Release);
        round.map_err(|silent| match silent.0 {
            Some(cpu) if cpu == self.holder => Failure::StaysMasked { cpu },
            Some(cpu) => Failure::InterruptLost { cpu },
            None => Failure::RoundRefused,
        })
    }
}
