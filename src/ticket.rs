//! Proof that a shootdown is complete, and the owner of what may be freed only then.

mod frames;
mod future;
mod joined;
mod secondaries;

pub use frames::{FrameSink, Frames, Held, Item, StorageFull};
pub use future::Completion;
pub use joined::wait_for_all;
pub(crate) use secondaries::{Queued, Task, Waits};

use crate::arch::Issued;
use crate::attachment::Slots;
use crate::cost::Cost;
use crate::cpu_set::CpuSet;
use crate::deadline::Deadline;
use crate::error::Incomplete;
use crate::mailbox::Posted;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::stats::Stats;
use core::task::Poll;

/// What is still outstanding of one shootdown: acknowledgements of CPUs and fences of devices. The CPU side of an
/// architecture that broadcasts is complete before this exists, so it may move between CPUs.
pub(crate) struct Outstanding<'e, P: Platform, const WORDS: usize> {
    pub(crate) engine: &'e Shootdown<P, WORDS>,
    pub(crate) slots: Option<&'e Slots>,
    pub(crate) waits: Waits,
    pub(crate) posted: Option<Posted>,
    /// Targets that have not acknowledged.
    pub(crate) cpus: CpuSet<WORDS>,
    /// A flush that was issued and is not known to be complete on the other CPUs.
    pub(crate) unproven: Option<Issued>,
    /// The space whose identifier is given back on completion.
    pub(crate) retiring: Option<&'e AddressSpace<P::Arch, WORDS>>,
    pub(crate) deadline: Deadline,
    /// How often it was pressed.
    pub(crate) pressed: u32,
    /// The latest round of NMIs that may answer in place of an acknowledgement.
    pub(crate) nmi: Option<u64>,
    /// A wait for this deadline has ended without everybody's answer, and was counted.
    pub(crate) given_up: bool,
    pub(crate) cost: Cost,
}

impl<P: Platform, const WORDS: usize> Clone for Outstanding<'_, P, WORDS> {
    fn clone(&self) -> Self {
        Self {
            waits: self.waits.clone(),
            deadline: self.deadline.clone(),
            ..*self
        }
    }
}

impl<P: Platform, const WORDS: usize> Outstanding<'_, P, WORDS> {
    /// One look at everybody. Ready once nobody is pending.
    fn poll(&mut self) -> Poll<Result<(), Incomplete<WORDS>>> {
        self.engine.serve_mailbox();
        self.poll_cpus();
        self.issue_again();
        if let Some(slots) = self.slots {
            self.engine
                .in_callback(|| self.waits.poll(slots, &mut self.cost));
        }
        if !self.cpus.is_empty() || self.unproven.is_some() || self.waits.is_pending() {
            return Poll::Pending;
        }
        match self.waits.error() {
            Some(_) => Poll::Ready(Err(self.incomplete())),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_cpus(&mut self) {
        let Some(posted) = self.posted else { return };
        let engine = self.engine;
        self.cpus
            .retain(|target| !engine.has_answered(posted, self.nmi, target));
    }

    /// Where somebody else invalidates on the CPUs' behalf and has not done so, it is asked once more.
    fn issue_again(&mut self) {
        if let Some(issued) = self.unproven {
            self.unproven = self.engine.issue_pinned(issued, &mut self.cost);
        }
    }

    fn incomplete(&self) -> Incomplete<WORDS> {
        let cpus = match self.unproven {
            Some(_) => self.engine.online_cpus(),
            None => self.cpus,
        };
        Incomplete {
            cpus,
            secondaries: self.waits.unfinished(),
            error: self.waits.error(),
        }
    }

    fn wait(&mut self) -> Result<(), Incomplete<WORDS>> {
        loop {
            if let Poll::Ready(result) = self.poll_in_time() {
                return result;
            }
            self.engine.platform().relax();
        }
    }

    /// The same, and ready as well once the deadline has passed; one turn of it where there is no clock.
    fn poll_in_time(&mut self) -> Poll<Result<(), Incomplete<WORDS>>> {
        match self.poll() {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.give_up(error))),
            Poll::Pending if self.deadline.has_passed(self.engine.platform().now()) => {
                Poll::Ready(Err(self.give_up(self.incomplete())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Counts the wait, once for each deadline: the drop that follows a failed wait is no second one.
    fn give_up(&mut self, error: Incomplete<WORDS>) -> Incomplete<WORDS> {
        if !core::mem::replace(&mut self.given_up, true) {
            self.engine.count(&Stats {
                timeouts: 1,
                ..Stats::default()
            });
        }
        error
    }
}

/// The proof that a shootdown will be, and finally is, complete; and the owner of what may be freed only then.
///
/// A ticket comes from one of the engine's `start_*` methods. [`Ticket::holding`] gives it the frames and tables that the
/// change took out of use; they reach their [`FrameSink`] when the ticket completes, from within `wait`, `poll` or the drop
/// of this ticket and from nowhere else. Nothing is freed on a time-out: the ticket stays, names who has not answered, and can be
/// polled again, waited for again ([`renew`](Self::renew)) or pressed ([`escalate`](Self::escalate)).
///
/// Dropping a ticket waits for it until its deadline, then hands what it holds to [`FrameSink::quarantine`].
///
/// # Context
/// A ticket may move between CPUs. `wait` may be called with interrupts off and page-table locks held: it serves this CPU's own
/// mailbox while it waits, so that two CPUs that wait for each other both return.
#[must_use = "translations may still be in use until the ticket completes"]
pub struct Ticket<'e, P: Platform, const WORDS: usize, H: Held<WORDS> = ()> {
    outstanding: Outstanding<'e, P, WORDS>,
    held: H,
    /// Completed or handed on: nothing is left to do on drop.
    settled: bool,
}

impl<'e, P: Platform, const WORDS: usize> Ticket<'e, P, WORDS> {
    pub(crate) fn new(outstanding: Outstanding<'e, P, WORDS>) -> Self {
        Self {
            outstanding,
            held: (),
            settled: false,
        }
    }

    /// Gives the ticket what may be freed only when it completes; at once, where it has completed.
    pub fn holding<H: Held<WORDS>>(mut self, held: H) -> Ticket<'e, P, WORDS, H> {
        let settled = core::mem::replace(&mut self.settled, true);
        let mut ticket = Ticket {
            outstanding: self.outstanding.clone(),
            held,
            settled,
        };
        if settled {
            ticket.held.release();
        }
        ticket
    }
}

impl<'e, P: Platform, const WORDS: usize, H: Held<WORDS>> Ticket<'e, P, WORDS, H> {
    /// Looks once whether everybody has answered. On completion what the ticket holds is released, and the cost returned.
    ///
    /// # Errors
    /// [`Incomplete`] where nobody is pending any more and a secondary TLB reported an error. The ticket may be polled again.
    pub fn poll(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        if self.settled {
            return Poll::Ready(Ok(self.cost()));
        }
        self.outstanding.poll().map_ok(|()| self.settle())
    }

    /// The same, and an error as well once the deadline has passed.
    fn poll_in_time(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        if self.settled {
            return Poll::Ready(Ok(self.cost()));
        }
        self.outstanding.poll_in_time().map_ok(|()| self.settle())
    }

    /// Waits until everybody has answered or the deadline passes.
    ///
    /// # Errors
    /// [`Unfinished`], with the ticket: what it holds stays held.
    // The ticket is the point of the error: boxing it would take an allocator.
    #[allow(clippy::result_large_err)]
    pub fn wait(mut self) -> Result<Cost, Unfinished<'e, P, WORDS, H>> {
        if self.settled {
            return Ok(self.cost());
        }
        match self.outstanding.wait() {
            Ok(()) => Ok(self.settle()),
            Err(error) => Err(Unfinished {
                ticket: self,
                error,
            }),
        }
    }

    /// Starts a new deadline, of the engine's patience.
    pub fn renew(&mut self) {
        let engine = self.outstanding.engine;
        self.outstanding.deadline = engine.deadline();
        self.outstanding.given_up = false;
    }

    /// Presses those who have not answered, and starts a new deadline: the CPUs get a second interrupt, and from the second time on an
    /// NMI where the platform has one and a full flush is an answer; the secondary TLBs are asked anew for everything they have of
    /// the space.
    pub fn escalate(&mut self) {
        self.renew();
        let Outstanding {
            engine,
            posted,
            cpus,
            waits,
            pressed,
            nmi,
            cost,
            ..
        } = &mut self.outstanding;
        if let Some(posted) = *posted {
            engine.interrupt_again(posted, cpus, cost);
            if *pressed > 0 && posted.by_flush {
                *nmi = engine.interrupt_by_nmi(cpus).or(*nmi);
            }
        }
        *pressed = pressed.saturating_add(1);
        waits.widen(cost);
    }

    /// Who has not answered yet.
    pub fn unanswered(&self) -> Incomplete<WORDS> {
        self.outstanding.incomplete()
    }

    /// What has been issued so far.
    pub fn cost(&self) -> Cost {
        self.outstanding.cost
    }

    /// Everybody has answered: releases what is held and gives a retired space's identifier back.
    fn settle(&mut self) -> Cost {
        self.settled = true;
        let engine = self.outstanding.engine;
        if let Some(space) = self.outstanding.retiring.take() {
            engine.finish_retire(space);
        }
        engine.count_completed(&self.outstanding.cost);
        self.held.release();
        self.outstanding.cost
    }
}

impl<P: Platform, const WORDS: usize, H: Held<WORDS>> Drop for Ticket<'_, P, WORDS, H> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        match self.outstanding.wait() {
            Ok(()) => {
                self.settle();
            }
            Err(error) => {
                let items = self.held.quarantine(&error);
                self.outstanding.engine.count(&Stats {
                    quarantined: items as u64,
                    ..Stats::default()
                });
            }
        }
    }
}

/// A ticket whose deadline passed, or that a secondary TLB answered with an error.
#[must_use = "the ticket still owns what it holds"]
pub struct Unfinished<'e, P: Platform, const WORDS: usize, H: Held<WORDS> = ()> {
    /// The ticket: poll it, [`renew`](Ticket::renew) and wait again, [`escalate`](Ticket::escalate), or drop it to quarantine.
    pub ticket: Ticket<'e, P, WORDS, H>,
    /// Who has not answered.
    pub error: Incomplete<WORDS>,
}

impl<P: Platform, const WORDS: usize, H: Held<WORDS>> core::fmt::Debug
    for Unfinished<'_, P, WORDS, H>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Unfinished")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
