//! Partition-scoped translations: what a hypervisor maps for its guests.
//!
//! They concern no address space of the engine: a guest's memory is changed by its hypervisor, which calls these between the store to
//! the partition's table and the reuse of the memory. All are broadcast.

use super::PowerPc;
use super::errata::Defects;
use super::instructions::Instructions;
use super::issue::count;
use super::operand::{self, Page};
use crate::address::{PhysAddr, VirtAddr};
use crate::cost::Cost;
use core::fmt;

/// The kernel is no hypervisor: partitions are not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotHypervisor;

impl fmt::Display for NotHypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only a hypervisor may invalidate partition-scoped translations")
    }
}

impl core::error::Error for NotHypervisor {}

/// What follows the invalidation where the CPUs have defects.
#[derive(Clone, Copy)]
enum Again {
    /// The same page.
    Page(u64),
    /// A page that nobody uses.
    Unused,
    /// Page walks have no defect.
    Nothing,
}

impl<I: Instructions, const WORDS: usize> PowerPc<I, WORDS> {
    /// Drops the translation of one page of guest memory, which has exactly this size, on every CPU. Returns when that is complete.
    ///
    /// # Errors
    /// [`NotHypervisor`].
    ///
    /// # Context
    /// After the store to the partition's table. Pinned to a CPU; interrupts on or off, locks held.
    pub fn flush_partition_page(
        &self,
        lpid: u32,
        page: PhysAddr,
        size: Page,
    ) -> Result<Cost, NotHypervisor> {
        let rb = operand::by_address(VirtAddr::new(page.raw()), size);
        self.flush_partition_by(lpid, Again::Page(rb), |on, rs| on.tlbie_ric0_prs0(rb, rs))
    }

    /// Drops what every CPU has cached of page walks through the partition's table: some of its tables were freed.
    ///
    /// # Errors
    /// [`NotHypervisor`].
    ///
    /// # Context
    /// As for [`flush_partition_page`](Self::flush_partition_page).
    pub fn flush_partition_walk_caches(&self, lpid: u32) -> Result<Cost, NotHypervisor> {
        self.flush_partition_by(lpid, Again::Nothing, |on, rs| {
            on.tlbie_ric1_prs0(operand::by_lpid(0), rs);
        })
    }

    /// Drops every translation of the partition's memory, page walks and its entry in the partition table, on every CPU.
    ///
    /// # Errors
    /// [`NotHypervisor`].
    ///
    /// # Context
    /// As for [`flush_partition_page`](Self::flush_partition_page).
    pub fn flush_partition(&self, lpid: u32) -> Result<Cost, NotHypervisor> {
        self.flush_partition_by(lpid, Again::Unused, |on, rs| {
            on.tlbie_ric2_prs0(operand::by_lpid(0), rs);
        })
    }

    /// Drops everything that the processes of a guest have cached, on every CPU: its process table has moved, or it has ended.
    ///
    /// # Errors
    /// [`NotHypervisor`].
    ///
    /// # Context
    /// As for [`flush_partition_page`](Self::flush_partition_page).
    pub fn flush_guest(&self, lpid: u32) -> Result<Cost, NotHypervisor> {
        self.flush_partition_by(lpid, Again::Unused, |on, rs| {
            on.tlbie_ric2_prs1(operand::by_lpid(0), rs);
        })
    }

    fn flush_partition_by(
        &self,
        lpid: u32,
        again: Again,
        invalidate: impl FnOnce(&I, u64),
    ) -> Result<Cost, NotHypervisor> {
        if !self.config.is_hypervisor() {
            return Err(NotHypervisor);
        }
        let mut cost = Cost::ZERO;
        let on = &self.instructions;
        on.ptesync();
        count(&mut cost.store_barriers);
        invalidate(on, operand::of_partition(lpid));
        count(&mut cost.invalidations);
        self.mend_partition(lpid, again, &mut cost);
        self.wait_for_broadcasts(&mut cost);
        Ok(cost)
    }

    /// As for processes, with LPID 0 in place of PID 0.
    fn mend_partition(&self, lpid: u32, again: Again, cost: &mut Cost) {
        let defects = self.machine.defects();
        let (host, repeated) = match again {
            Again::Page(rb) => (rb, rb),
            Again::Unused => (
                operand::by_lpid(0),
                operand::by_address(operand::UNUSED, Page::Kib64),
            ),
            Again::Nothing => return,
        };
        let steps = [
            (Defects::ERAT, host, operand::of_partition(0)),
            (Defects::STORE_QUEUE, repeated, operand::of_partition(lpid)),
        ];
        for (_, rb, rs) in steps
            .into_iter()
            .filter(|(defect, ..)| defects.contains(*defect))
        {
            self.instructions.ptesync();
            count(&mut cost.completion_barriers);
            self.instructions.tlbie_ric0_prs0(rb, rs);
            count(&mut cost.invalidations);
        }
    }
}
