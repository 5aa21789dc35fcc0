//! Where there are NMIs: one reaches a CPU whose interrupts are off, and its handler answers there. What else such a handler does, and that it
//! may come anywhere, is not seen.

use super::{Subject, TOGETHER, soon, turns_until};
use crate::conformance::cpus::Check;
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::sync::atomic::{AtomicBool, Ordering};
use tlb_shootdown::cpu_set::{CpuId, CpuSet};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::ticket::Ticket;

/// Turns within which an NMI is answered, where there is no clock.
const SOON: u32 = 400_000;

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    let mut seen = false;
    for (holder, asker) in subject.pairs() {
        let scene = Scene {
            subject,
            holder,
            masked: AtomicBool::new(false),
            over: AtomicBool::new(false),
            was_asked: AtomicBool::new(false),
        };
        let pair = (holder, asker);
        let together = subject.check_pair(pair, || scene.hold(), || scene.ask())?;
        seen = together && scene.was_asked.into_inner();
        if !seen {
            break;
        }
    }
    passed.note(seen);
    Ok(())
}

/// One CPU with interrupts off, and another that presses it.
struct Scene<'a, P: Platform, const WORDS: usize> {
    subject: &'a Subject<'a, P, WORDS>,
    holder: CpuId,
    masked: AtomicBool,
    /// Nobody waits for the holder any more.
    over: AtomicBool,
    /// Where invalidations are broadcast nobody is.
    was_asked: AtomicBool,
}

impl<P: Platform, const WORDS: usize> Scene<'_, P, WORDS> {
    fn hold(&self) -> Check {
        let platform = self.subject.platform();
        let off = platform.irq_save();
        self.masked.store(true, Ordering::Release);
        let over = turns_until(platform, TOGETHER, || self.over.load(Ordering::Acquire));
        drop(off);
        let cpu = self.holder;
        over.then_some(()).ok_or(Failure::NotTogether { cpu })
    }

    fn ask(&self) -> Check {
        let platform = self.subject.platform();
        let masked = turns_until(platform, TOGETHER, || self.masked.load(Ordering::Acquire));
        let answered = if masked {
            self.press()
        } else {
            let cpu = self.holder;
            Err(Failure::NotTogether { cpu })
        };
        self.over.store(true, Ordering::Release);
        answered
    }

    /// A flush that the holder cannot answer by its handler of interrupts, pressed until an NMI is sent.
    fn press(&self) -> Check {
        let platform = self.subject.platform();
        let ticket = self.subject.engine.start_kernel(Flush::all());
        let mut ticket = ticket.map_err(|_| Failure::RoundRefused)?;
        let mut alone = CpuSet::EMPTY;
        alone.insert(self.holder);
        let is_left = |ticket: &Ticket<'_, P, WORDS>| ticket.unanswered().cpus == alone;
        soon(platform, SOON, || {
            ticket.poll().is_ready() || is_left(&ticket)
        });
        if !is_left(&ticket) {
            return Ok(());
        }
        self.was_asked.store(true, Ordering::Release);
        ticket.escalate();
        ticket.escalate();
        if soon(platform, SOON, || ticket.poll().is_ready()) {
            return Ok(());
        }
        // The holder goes on, and the ticket, which waits when it is dropped, ends.
        self.over.store(true, Ordering::Release);
        let cpu = self.holder;
        Err(Failure::NmiUnanswered { cpu })
    }
}
