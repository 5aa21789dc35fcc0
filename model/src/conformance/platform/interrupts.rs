//! Interrupts between CPUs: each ends in `Shootdown::on_ipi`, again and again, and also where the CPU is in that handler.

use super::{Silent, Subject};
use crate::conformance::cpus::{Check, check_on, check_together};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::sync::atomic::Ordering;
use tlb_shootdown::cpu_set::{AtomicCpuSet, CpuId, CpuSet};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;

/// Rounds of each CPU, so many turns of the spin loop apart as the number says, modulo [`PHASES`]: one of them meets the others
/// in their handlers.
const ROUNDS: u32 = 32;
const PHASES: u32 = 16;

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    let answered = AtomicCpuSet::<WORDS>::new();
    for cpu in subject.online.iter() {
        check_on(subject.cpus, cpu, || rounds(subject, &answered, cpu))?;
    }
    for cpu in subject.online.iter() {
        check_on(subject.cpus, cpu, || unasked(subject, &answered, cpu))?;
        check_on(subject.cpus, cpu, || flushes(subject, &answered))?;
    }
    // From each to each, again and again, without a request, and for flushes.
    passed.checks += 4;
    Ok(())
}

/// Everybody asks everybody at once, with interrupts off: who waits answers.
pub(super) fn check_both_ways<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    let answered = AtomicCpuSet::<WORDS>::new();
    passed.note(check_together(subject.cpus, || {
        let platform = subject.platform();
        let _irqs_off = platform.irq_save();
        rounds(subject, &answered, platform.cpu())
    })?);
    Ok(())
}

fn rounds<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    answered: &AtomicCpuSet<WORDS>,
    me: CpuId,
) -> Check {
    for number in 0..ROUNDS {
        subject
            .round()
            .map_err(|silent| unanswered(answered, silent))?;
        let others = subject.others(me);
        others.iter().for_each(|cpu| {
            answered.insert(cpu, Ordering::Relaxed);
        });
        (0..number % PHASES).for_each(|_| subject.platform().relax());
    }
    Ok(())
}

/// Interrupts without a request, to nobody and to everybody, twice in a row: they do no harm, and swallow none that follows.
fn unasked<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    answered: &AtomicCpuSet<WORDS>,
    me: CpuId,
) -> Check {
    for apart in 0..PHASES {
        for targets in [CpuSet::EMPTY, subject.others(me), subject.others(me)] {
            let _irqs_off = subject.platform().irq_save();
            subject.platform().send_ipi(targets.mask());
        }
        (0..apart).for_each(|_| subject.platform().relax());
        subject
            .round()
            .map_err(|silent| unanswered(answered, silent))?;
    }
    Ok(())
}

/// Several shootdowns of one CPU under way, started so many turns apart. Where invalidations are broadcast nobody is asked.
fn flushes<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    answered: &AtomicCpuSet<WORDS>,
) -> Check {
    let start = || {
        let ticket = subject.engine.start_kernel(Flush::all());
        ticket.map_err(|_| unanswered(answered, Silent(None)))
    };
    for apart in 0..PHASES {
        let first = start()?;
        (0..apart).for_each(|_| subject.platform().relax());
        let second = start()?;
        for ticket in [second, first] {
            let ended = ticket.wait().map(drop);
            let silent = |cpus: CpuSet<WORDS>| Silent(cpus.iter().next());
            ended.map_err(|left| unanswered(answered, silent(left.error.cpus)))?;
        }
    }
    Ok(())
}

/// A CPU that has answered before has lost an interrupt; another is not reached at all.
fn unanswered<const WORDS: usize>(answered: &AtomicCpuSet<WORDS>, Silent(cpu): Silent) -> Failure {
    match cpu {
        Some(cpu) if answered.contains(cpu, Ordering::Relaxed) => Failure::InterruptLost { cpu },
        Some(cpu) => Failure::NotInterrupted { cpu },
        None => Failure::RoundRefused,
    }
}
