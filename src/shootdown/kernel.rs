//! Flushes of kernel mappings, and the round that holds off lockless walkers.
//!
//! Secondary TLBs are not told of kernel mappings: a device has no access through them. What can concern an IOMMU are the
//! *tables* of the kernel half, where it walks a root that both halves share: [`Shootdown::flush_kernel_tables`].

use super::Shootdown;
use super::start::CpuSide;
use super::user::finish;
use crate::address::PageRange;
use crate::arch::{Arch, Delivery, Half, Issued, Reach};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::{FlushError, Refused};
use crate::flush::Flush;
use crate::mailbox::Request;
use crate::platform::Platform;
use crate::secondary::Needs;
use crate::ticket::{Task, Ticket, Waits};

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Starts a shootdown of changed kernel translations on every CPU, for every identifier. No secondary TLB is told.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// As for [`Self::start`].
    pub fn start_kernel(&self, flush: Flush) -> Result<Ticket<'_, P, WORDS>, Refused> {
        self.check(Half::Kernel, &flush)?;
        let _pin = self.platform.pin_cpu();
        self.check_initiator()?;
        let mut cost = Cost::ZERO;
        self.arch.store_barrier(Reach::Broadcast, &mut cost);
        let cpus = self.issue_kernel(&flush, &mut cost);
        Ok(self.ticket(None, Waits::new(Task::Flush(flush)), cpus, cost))
    }

    /// Flushes these kernel pages, whose leaf entries alone have changed, on every CPU.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn flush_kernel_range(&self, pages: PageRange) -> Result<Cost, FlushError<WORDS>> {
        finish(self.start_kernel(Flush::pages(pages).leaf_only())?)
    }

    /// Flushes every entry of every CPU: all identifiers, kernel mappings, walk caches. No secondary TLB is told.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn flush_all(&self) -> Result<Cost, FlushError<WORDS>> {
        finish(self.start_kernel(Flush::all())?)
    }

    /// Starts a shootdown of kernel translations whose tables are about to be freed: walk caches of the CPUs, and those of every
    /// registered IOMMU that caches tables of the kernel half, each told once.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// As for [`Self::start`].
    pub fn start_kernel_tables(&self, pages: PageRange) -> Result<Ticket<'_, P, WORDS>, Refused> {
        let flush = Flush::pages(pages);
        self.check(Half::Kernel, &flush)?;
        let _pin = self.platform.pin_cpu();
        self.check_initiator()?;
        let mut cost = Cost::ZERO;
        // The devices first would be too early: the store barrier of the CPU side makes the stores visible to them as well.
        self.arch.store_barrier(Reach::Broadcast, &mut cost);
        let mut waits = Waits::new(Task::KernelTables);
        let wanted = |needs: Needs| needs.contains(Needs::KERNEL_TABLES) && !is_forgotten(&pages);
        let slots = &self.instances;
        self.start_secondaries(slots, &mut waits, wanted, &mut cost);
        let cpus = self.issue_kernel(&flush, &mut cost);
        self.start_snoopers(slots, &mut waits, &mut cost);
        Ok(self.ticket(Some(slots), waits, cpus, cost))
    }

    /// Flushes kernel translations whose tables are about to be freed: [`Self::start_kernel_tables`], then wait.
    ///
    /// # Errors
    /// As for [`Self::flush`].
    pub fn flush_kernel_tables(&self, pages: PageRange) -> Result<Cost, FlushError<WORDS>> {
        finish(self.start_kernel_tables(pages)?)
    }

    /// Returns when every other CPU has taken an interrupt: whoever walked page tables with interrupts off has finished.
    ///
    /// A walker neither calls [`Self::poll`] nor waits for a shootdown within its walk: both answer for this CPU.
    ///
    /// # Errors
    /// [`FlushError::Incomplete`] with the CPUs that have not answered.
    ///
    /// # Context
    /// As for [`Self::start`].
    pub fn sync_lockless_walkers(&self) -> Result<Cost, FlushError<WORDS>> {
        let _pin = self.platform.pin_cpu();
        self.check_initiator()?;
        let mut cost = Cost::ZERO;
        // The unlinking stores before the round: a walker that starts after its answer does not find the table.
        self.arch.store_barrier(Reach::Broadcast, &mut cost);
        let cpus = CpuSide::asked(self.post(&self.online(), &Request::Round, &mut cost));
        let waits = Waits::new(Task::KernelTables);
        finish(self.ticket(None, waits, cpus, cost))
    }

    fn issue_kernel(&self, flush: &Flush, cost: &mut Cost) -> CpuSide<WORDS> {
        let me = self.platform.cpu();
        let online = self.online();
        let alone = online.is_within(me) && self.instances.summary().is_empty()
            || Defect::KernelUpgradeRepaired.is_put_back()
                && self.platform.repairs_spurious_faults();
        if self.arch.delivery(None) == Delivery::Asked {
            let posted = self.post(&online, &Request::Kernel { flush: *flush }, cost);
            let _irqs_off = self.platform.irq_save();
            self.arch.catch_up_kernel(me, flush, cost);
            return CpuSide::asked(posted);
        }
        let reach = if alone {
            Reach::Local
        } else {
            Reach::Broadcast
        };
        CpuSide::issued(self.issue(Issued::Kernel(*flush), reach, cost))
    }
}

/// Whether IOMMUs hear nothing of tables of the kernel half: never.
fn is_forgotten(pages: &PageRange) -> bool {
    let reaches_the_top = pages.last_byte().raw() == u64::MAX;
    Defect::KernelTablesNotTold.is_put_back()
        || reaches_the_top && Defect::KernelRangeToTheTopLost.is_put_back()
}
