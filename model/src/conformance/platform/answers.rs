//! Answers that may not change, as the engine relies on the one it got.

use super::Subject;
use crate::conformance::cpus::{ask, check_on};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::task::Waker;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::platform::Platform;

/// How often each question is asked on each CPU.
const TIMES: u32 = 8;

/// What the platform offers.
pub(super) struct Offers {
    /// A way to wake a task later.
    pub(super) wakes: bool,
    /// A way to send NMIs.
    pub(super) nmis: bool,
}

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Result<Offers, Failure> {
    let platform = subject.platform();
    same_everywhere(
        subject,
        |_| Some(platform.repairs_spurious_faults()),
        |cpu| Failure::RepairsChanges { cpu },
    )?;
    let wakes = same_everywhere(
        subject,
        |_| Some(platform.wake_later(Waker::noop())),
        |cpu| Failure::WakeLaterChanges { cpu },
    )?;
    let nmis = same_everywhere(
        subject,
        |cpu| send_nmi(subject, cpu),
        |cpu| Failure::NmiWayChanges { cpu },
    )?;
    passed.checks += 3;
    Ok(Offers {
        wakes: wakes == Some(true),
        nmis: nmis == Some(true),
    })
}

/// Whether there is a way to send NMIs; nothing where there is nobody to send one to.
fn send_nmi<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    me: CpuId,
) -> Option<bool> {
    let others = subject.others(me);
    let platform = subject.platform();
    let _irqs_off = platform.irq_save();
    (!others.is_empty()).then(|| platform.send_nmi(others.mask()))
}

fn same_everywhere<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    answer: impl Fn(CpuId) -> Option<bool> + Sync,
    failure: impl Fn(CpuId) -> Failure + Sync,
) -> Result<Option<bool>, Failure> {
    let Some(first) = subject.online.iter().next() else {
        return Ok(None);
    };
    let expected = ask(subject.cpus, first, || answer(first))?;
    for cpu in subject.online.iter() {
        check_on(subject.cpus, cpu, || {
            let same = (0..TIMES).all(|_| answer(cpu) == expected);
            if same { Ok(()) } else { Err(failure(cpu)) }
        })?;
    }
    Ok(expected)
}
