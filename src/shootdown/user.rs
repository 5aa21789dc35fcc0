//! Flushes of user mappings.

use super::Shootdown;
use super::start::{CpuSide, Reason};
use crate::address::{PageSize, VirtAddr};
use crate::arch::{Arch, Half, Reach};
use crate::attachment::Slots;
use crate::cost::Cost;
use crate::error::{FlushError, Refused};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::space::AddressSpace;
use crate::ticket::{Ticket, Waits};

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Starts a shootdown of changed user translations: unmapped, downgraded, pointed elsewhere, cleaned, or with tables freed.
    ///
    /// The page-table stores come first, in program order on this CPU. On return the secondary TLBs have been told and the CPU
    /// side of architectures that broadcast is complete; acknowledgements of other CPUs and of devices are in the ticket.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// Task or interrupt context, interrupts on or off, page-table lock held; never from an NMI.
    pub fn start<'e>(
        &'e self,
        space: &'e AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<Ticket<'e, P, WORDS>, Refused> {
        self.start_user(space, flush, Reason::Change)
    }

    /// Starts a shootdown after a permission upgrade: same address, same attributes, rights only widened.
    ///
    /// Secondary TLBs are always told, except those that walk the tables anew before they report a fault: nothing else would
    /// ever repair their entry. CPUs are flushed everywhere, unless the platform repairs spurious faults
    /// ([`Platform::repairs_spurious_faults`]): then this one alone. What is wider than an upgrade is [`Self::start`]'s.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// As for [`Self::start`].
    pub fn start_upgrade<'e>(
        &'e self,
        space: &'e AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<Ticket<'e, P, WORDS>, Refused> {
        self.start_user(space, flush, Reason::Upgrade)
    }

    /// Flushes changed user translations: [`Self::start`], then wait.
    ///
    /// # Errors
    /// [`FlushError`]. After [`FlushError::Incomplete`] old translations may still be in use: the memory behind them must not be
    /// reused.
    ///
    /// # Context
    /// As for [`Self::start`]. While it waits it serves requests of other CPUs.
    pub fn flush(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<Cost, FlushError<WORDS>> {
        finish(self.start(space, flush)?)
    }

    /// Flushes one page of exactly this size, whose leaf entry alone has changed.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn flush_page(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        page: VirtAddr,
        size: PageSize,
    ) -> Result<Cost, FlushError<WORDS>> {
        self.flush(space, Flush::page(page, size))
    }

    /// Flushes everything that is cached of the space, walk caches included.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn flush_space(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
    ) -> Result<Cost, FlushError<WORDS>> {
        self.flush(space, Flush::all())
    }

    /// Flushes after a permission upgrade: [`Self::start_upgrade`], then wait.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn flush_upgrade(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<Cost, FlushError<WORDS>> {
        finish(self.start_upgrade(space, flush)?)
    }

    /// Repairs a spurious fault on this CPU: the entry in memory allows the access, this CPU holds one that does not. Local, and
    /// no secondary TLB is told: the upgrade itself told them.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// The fault handler, on the CPU that faulted, before it returns to the faulting instruction.
    pub fn fix_spurious_fault(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        page: VirtAddr,
        size: PageSize,
    ) -> Result<Cost, Refused> {
        let flush = Flush::page(page, size);
        self.check(Half::User, &flush)?;
        let _pin = self.platform.pin_cpu();
        let mut cost = Cost::ZERO;
        self.arch.store_barrier(Reach::Local, &mut cost);
        if let Some(id) = self.arch.hardware_id(&space.hardware) {
            // What is local needs nobody's proof.
            let _ = self.flush_for_a_fault(id, &flush, Reach::Local, &mut cost);
        }
        Ok(cost)
    }
}

/// Waits for a ticket that holds nothing.
pub(super) fn finish<P: Platform, const WORDS: usize>(
    ticket: Ticket<'_, P, WORDS>,
) -> Result<Cost, FlushError<WORDS>> {
    ticket
        .wait()
        .map_err(|unfinished| FlushError::Incomplete(unfinished.error))
}

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Waits for secondary TLBs alone.
    pub(crate) fn finish_waits(
        &self,
        slots: Option<&Slots>,
        waits: Waits,
        cost: Cost,
    ) -> Result<Cost, FlushError<WORDS>> {
        finish(self.ticket(slots, waits, CpuSide::DONE, cost))
    }
}
