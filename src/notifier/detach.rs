//! Detach, and the release of a whole space.

use super::Attachment;
use crate::arch::Arch;
use crate::attachment::{Purpose, Slots, Status};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::{AttachError, FlushError, Refused};
use crate::platform::Platform;
use crate::secondary::Needs;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::ticket::{Task, Waits};

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Detaches a secondary TLB: stops its walk, invalidates everything it has of the space and waits for that, then waits until
    /// no call to it for this space is under way. After return none will be made.
    ///
    /// Tickets that still wait for it count it as done: it is silent.
    ///
    /// # Errors
    /// [`AttachError`]. After [`AttachError::Timeout`] and [`AttachError::Secondary`] it is still attached and still told of every
    /// flush; detach again.
    ///
    /// # Context
    /// Waits, serving this CPU's mailbox. Never from within a call to a secondary TLB, which is refused.
    pub fn detach(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        attachment: Attachment,
    ) -> Result<Cost, AttachError> {
        let Attachment {
            index, generation, ..
        } = attachment;
        if attachment.space != space.id() {
            return Err(AttachError::NotAttached);
        }
        if self.is_in_callback() {
            return Err(AttachError::FromCallback);
        }
        let slot = space
            .secondaries
            .get(index)
            .ok_or(AttachError::NotAttached)?;
        // Marked like every stay inside: an interrupt handler that detached here would wait for what it has interrupted.
        let snoops = self
            .in_callback(|| {
                slot.enter(Purpose::Queue)
                    .filter(|inside| inside.generation() == generation)
                    .map(|inside| inside.tlb().needs().contains(Needs::SNOOPS_BROADCASTS))
            })
            .ok_or(AttachError::NotAttached)?;
        if !slot.advance(generation, Status::Live, Status::Stopping) {
            return Err(AttachError::Busy);
        }
        let silenced = self.silence(&space.secondaries, index, generation);
        if silenced.is_err() {
            slot.advance(generation, Status::Stopping, Status::Live);
            return silenced;
        }
        self.take_off(space, (index, generation), Status::Stopping, snoops);
        silenced
    }

    /// Releases every secondary TLB of a space: when this returns none walks it, even though no flush follows. Idempotent; may
    /// race with flushes, detaches and another release. [`retire`](Shootdown::retire) includes it.
    ///
    /// # Errors
    /// [`FlushError::Incomplete`], naming who has not answered; release again.
    ///
    /// # Context
    /// Waits, serving this CPU's mailbox.
    pub fn release(&self, space: &AddressSpace<P::Arch, WORDS>) -> Result<Cost, FlushError<WORDS>> {
        if self.is_in_callback() {
            return Err(FlushError::Refused(Refused::FromCallback));
        }
        let mut cost = Cost::ZERO;
        let mut waits = Waits::new(Task::Release);
        let slots = &space.secondaries;
        self.in_callback(|| {
            waits.enlist(slots, |_| true);
            waits.submit(slots, |_| true, &mut cost);
        });
        self.finish_waits(Some(slots), waits, cost)
    }

    /// Stops the walk of one attachment and invalidates what it has.
    fn silence(&self, slots: &Slots, index: usize, generation: u32) -> Result<Cost, AttachError> {
        let mut waits = Waits::new(Task::Release);
        waits.enlist_one(index, generation);
        let mut cost = Cost::ZERO;
        self.in_callback(|| waits.submit(slots, |_| true, &mut cost));
        self.finish_waits(Some(slots), waits, cost)
            .map_err(|error| match error {
                FlushError::Incomplete(incomplete) => match incomplete.error {
                    Some(error) => AttachError::Secondary(error),
                    None => AttachError::Timeout,
                },
                FlushError::Refused(_) => AttachError::NotAttached,
            })
    }

    /// Empties the place of an attachment whose device does not walk. Waits until nobody is inside, without a deadline: those
    /// inside are in calls that do not wait.
    pub(super) fn take_off(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        (index, generation): (usize, u32),
        from: Status,
        snoops: bool,
    ) {
        let slots = &space.secondaries;
        if let Some(slot) = slots.get(index) {
            slot.advance(generation, from, Status::Draining);
        }
        while !slots.free(index, generation) {
            if !Defect::DetachServesNobody.is_put_back() {
                self.poll();
            }
            self.platform().relax();
        }
        if snoops {
            self.remove_snooper(space);
        }
    }

    /// One less relies on broadcasts of this space, and holds nothing of it.
    pub(super) fn remove_snooper(&self, space: &AddressSpace<P::Arch, WORDS>) {
        space.secondaries.remove_snooper();
        self.arch().snooper_removed(&space.hardware);
    }
}
