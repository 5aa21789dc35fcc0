//! Proof that a shootdown is complete, and the owner of what may be freed only then.

mod cpus;
mod frames;
mod future;
mod in_progress;
mod joined;
mod secondaries;

pub(crate) use cpus::CpuWaits;
pub use frames::{FrameSink, Frames, Held, Item, StorageFull};
pub use future::Completion;
pub(crate) use in_progress::Waiting;
pub use in_progress::{InProgress, Unfinished};
pub use joined::wait_for_all;
pub(crate) use secondaries::{Queued, Task, Waits};

use crate::arch::Issued;
use crate::attachment::Slots;
use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::Incomplete;
use crate::platform::Platform;
use crate::space::AddressSpace;
use crate::stats::Stats;
use core::task::{Poll, Waker};

/// What is still outstanding of one shootdown: acknowledgements of CPUs and fences of devices. The CPU side of an
/// architecture that broadcasts is complete before this exists, so it may move between CPUs.
pub(crate) struct Outstanding<'e, P: Platform, const WORDS: usize> {
    pub(crate) cpus: CpuWaits<'e, P, WORDS>,
    pub(crate) slots: Option<&'e Slots>,
    pub(crate) waits: Waits,
    /// A flush that was issued and is not known to be complete on the other CPUs.
    pub(crate) unproven: Option<Issued>,
    /// The space whose identifier is given back on completion.
    pub(crate) retiring: Option<&'e AddressSpace<P::Arch, WORDS>>,
    pub(crate) cost: Cost,
}

impl<P: Platform, const WORDS: usize> Clone for Outstanding<'_, P, WORDS> {
    fn clone(&self) -> Self {
        Self {
            cpus: self.cpus.clone(),
            waits: self.waits.clone(),
            ..*self
        }
    }
}

impl<P: Platform, const WORDS: usize> Outstanding<'_, P, WORDS> {
    /// One look at everybody. Ready once nobody is pending.
    fn poll(&mut self) -> Poll<Result<(), Incomplete<WORDS>>> {
        let were_pending = self.cpus.is_pending();
        self.cpus.poll();
        if were_pending && !self.cpus.is_pending() && Defect::DeadlineForDevicesAlone.is_put_back()
        {
            self.cpus.renew();
        }
        self.issue_again();
        if let Some(slots) = self.slots {
            let engine = self.cpus.engine;
            engine.in_callback(|| self.waits.poll(slots, &mut self.cost));
        }
        if self.cpus.is_pending() || self.unproven.is_some() || self.waits.is_pending() {
            return Poll::Pending;
        }
        match self.waits.error() {
            Some(_) => Poll::Ready(Err(self.incomplete())),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Where somebody else invalidates on the CPUs' behalf and has not done so, it is asked once more.
    fn issue_again(&mut self) {
        if let Some(issued) = self.unproven {
            self.unproven = self.cpus.engine.issue_pinned(issued, &mut self.cost);
        }
    }

    fn incomplete(&self) -> Incomplete<WORDS> {
        let cpus = match self.unproven {
            Some(_) => self.cpus.engine.online_cpus(),
            None => self.cpus.unanswered(),
        };
        Incomplete {
            cpus,
            secondaries: self.waits.unfinished(),
            error: self.waits.error(),
        }
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
        if settled || Defect::FreedWhenHanded.is_put_back() {
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

    /// Waits until everybody has answered or the deadline passes.
    ///
    /// # Errors
    /// [`Unfinished`], with the ticket: what it holds stays held.
    // The ticket is the point of the error: boxing it would take an allocator.
    #[allow(clippy::result_large_err)]
    pub fn wait(mut self) -> Result<Cost, Unfinished<Self, WORDS>> {
        let platform = self.outstanding.cpus.engine.platform();
        let _irqs_off = Defect::InterruptsOffWhileWaiting
            .is_put_back()
            .then(|| platform.irq_save());
        self.wait_in_time().map_err(|error| Unfinished {
            ticket: self,
            error,
        })
    }

    /// Starts a new deadline, of the engine's patience.
    pub fn renew(&mut self) {
        self.outstanding.cpus.renew();
    }

    /// Presses those who have not answered, and starts a new deadline: the CPUs get a second interrupt, and from the second time on an
    /// NMI where the platform has one and a full flush is an answer; the secondary TLBs are asked anew for everything they have of
    /// the space.
    pub fn escalate(&mut self) {
        self.renew();
        let Outstanding {
            cpus, waits, cost, ..
        } = &mut self.outstanding;
        cpus.press(cost);
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
        let engine = self.outstanding.cpus.engine;
        if let Some(space) = self.outstanding.retiring.take() {
            engine.finish_retire(space);
        }
        engine.count_completed(&self.outstanding.cost);
        self.held.release();
        self.outstanding.cost
    }
}

impl<P: Platform, const WORDS: usize, H: Held<WORDS>> InProgress<WORDS>
    for Ticket<'_, P, WORDS, H>
{
}

impl<P: Platform, const WORDS: usize, H: Held<WORDS>> Waiting<WORDS> for Ticket<'_, P, WORDS, H> {
    fn look(&mut self) -> Poll<Result<Cost, Incomplete<WORDS>>> {
        self.poll()
    }

    fn missing(&self) -> Incomplete<WORDS> {
        self.unanswered()
    }

    fn is_late(&mut self) -> bool {
        self.outstanding.cpus.are_late()
    }

    fn give_up(&mut self) {
        self.outstanding.cpus.give_up();
    }

    fn relax(&self) {
        self.outstanding.cpus.engine.platform().relax();
    }

    fn wake_later(&self, waker: &Waker) -> bool {
        self.outstanding.cpus.engine.platform().wake_later(waker)
    }
}

impl<P: Platform, const WORDS: usize, H: Held<WORDS>> Drop for Ticket<'_, P, WORDS, H> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        match self.wait_in_time() {
            Ok(_) => {}
            Err(_) if Defect::FreedOnTimeOut.is_put_back() => self.held.release(),
            Err(error) => {
                let items = self.held.quarantine(&error);
                self.outstanding.cpus.engine.count(&Stats {
                    quarantined: items as u64,
                    ..Stats::default()
                });
            }
        }
    }
}
