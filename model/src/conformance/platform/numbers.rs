//! CPU numbers, and the guards that keep a task with its number.

use super::Subject;
use crate::conformance::cpus::{Check, check_on};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::sync::atomic::Ordering;
use tlb_shootdown::cpu_set::{AtomicCpuSet, CpuId, CpuSet};
use tlb_shootdown::platform::Platform;

/// Turns of the spin loop under each guard: time enough for a scheduler that does not respect it.
const TURNS: u32 = 256;

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    let seen = AtomicCpuSet::<WORDS>::new();
    for cpu in subject.online.iter() {
        check_on(subject.cpus, cpu, || check_in(subject, &seen, cpu))?;
    }
    // Within the capacity, one number each, that of the executing CPU, the same under nested guards of both kinds.
    passed.checks += 4;
    Ok(())
}

fn check_in<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    seen: &AtomicCpuSet<WORDS>,
    asked: CpuId,
) -> Check {
    let platform = subject.platform();
    let _pin = platform.pin_cpu();
    let cpu = platform.cpu();
    if cpu.index() >= CpuSet::<WORDS>::CAPACITY {
        return Err(Failure::BeyondCapacity { cpu });
    }
    if !seen.insert(cpu, Ordering::AcqRel) {
        return Err(Failure::SharedNumber { cpu });
    }
    if cpu != asked {
        return Err(Failure::WrongCpu { asked, found: cpu });
    }
    stays_while_pinned(platform, cpu)?;
    stays_with_irqs_off(platform, cpu)
}

fn stays_while_pinned<P: Platform>(platform: &P, cpu: CpuId) -> Check {
    let outer = platform.pin_cpu();
    let inner = platform.pin_cpu();
    stays(platform, cpu)?;
    drop(inner);
    stays(platform, cpu)?;
    drop(outer);
    Ok(())
}

fn stays_with_irqs_off<P: Platform>(platform: &P, cpu: CpuId) -> Check {
    let outer = platform.irq_save();
    let inner = platform.irq_save();
    stays(platform, cpu)?;
    drop(inner);
    stays(platform, cpu)?;
    drop(outer);
    Ok(())
}

fn stays<P: Platform>(platform: &P, cpu: CpuId) -> Check {
    for _ in 0..TURNS {
        platform.relax();
        let now = platform.cpu();
        if now != cpu {
            return Err(Failure::Moved { cpu, now });
        }
    }
    Ok(())
}
