//! The end of an address space.

use super::Shootdown;
use super::start::{CpuSide, Reason};
use crate::arch::{Arch, Delivery, Issued};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::Refused;
use crate::flush::Flush;
use crate::mailbox::Request;
use crate::platform::Platform;
use crate::space::{AddressSpace, Life};
use crate::ticket::{Task, Ticket, Waits};

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Retires an address space: every secondary TLB stops walking it, CPUs that still have its root loaded without running it
    /// leave it, everything cached of it is dropped everywhere, and its identifier is given back - in that order. Give the root
    /// and the remaining tables to the ticket ([`Ticket::holding`]): they come free when it completes.
    ///
    /// No task of the space runs, and none will: [`Self::switch_to`] refuses it from here on.
    ///
    /// # Errors
    /// [`Refused::Retired`] where it has been retired already, [`Refused::Deferred`] while a batch holds changes of it or a gather is
    /// open.
    ///
    /// # Context
    /// As for [`Self::start`].
    pub fn retire<'e>(
        &'e self,
        space: &'e AddressSpace<P::Arch, WORDS>,
    ) -> Result<Ticket<'e, P, WORDS>, Refused> {
        let _pin = self.platform.pin_cpu();
        self.check_initiator()?;
        if !space.advance(Life::Live, Life::Retiring) {
            return Err(Refused::Retired);
        }
        // The life before the batches, and the batches before the life where a change is put into one.
        if space.is_flush_pending() {
            space.advance(Life::Retiring, Life::Live);
            return Err(Refused::Deferred);
        }
        let mut cost = Cost::ZERO;
        let scope = self.scope(space, Reason::Change, &mut cost);
        let mut waits = Waits::new(Task::Release);
        let slots = (!scope.secondaries.is_empty()).then_some(&space.secondaries);
        if let Some(slots) = slots {
            self.start_secondaries(slots, &mut waits, |_| true, &mut cost);
        }
        if Defect::ReleaseNotWaitedFor.is_put_back() {
            waits = Waits::new(Task::Release);
        }
        let mut cpus = CpuSide::DONE;
        if let Some(id) = scope.id {
            let targets = self.to_leave(space, &scope, id);
            // Again, after the look at the CPUs: a flush under way may have given it another, which is to be clean as well.
            let id = self.arch.hardware_id(&space.hardware).unwrap_or(id);
            let leave = Request::Leave {
                space: space.id(),
                id,
            };
            cpus.posted = self.post(&targets, &leave, &mut cost);
            let _irqs_off = self.platform.irq_save();
            if scope.cpus.contains(scope.me) {
                self.leave_borrowed_root(scope.me, Some(space.id()));
            }
            let delivery = self.arch.delivery(Some(id));
            let drops = !Defect::RetiredWithoutFlush.is_put_back();
            if matches!(delivery, Delivery::Broadcast | Delivery::Both) && drops {
                let everything = Issued::User(id, Flush::all());
                cpus.unproven = self.issue(everything, scope.reach, &mut cost);
            }
            if matches!(delivery, Delivery::Asked | Delivery::Both) {
                self.arch.forget(scope.me, space.id(), id, &mut cost);
            }
        }
        if scope.secondaries.is_snooped() {
            self.start_snoopers(&space.secondaries, &mut waits, &mut cost);
        }
        let mut outstanding = self.outstanding(slots, waits, cpus, cost);
        outstanding.retiring = Some(space);
        Ok(Ticket::new(outstanding))
    }

    /// Everybody has let go: the identifier is clean.
    pub(crate) fn finish_retire(&self, space: &AddressSpace<P::Arch, WORDS>) {
        let _irqs_off = self.platform.irq_save();
        self.arch.retire(&space.hardware);
        space.advance(Life::Retiring, Life::Retired);
    }
}
