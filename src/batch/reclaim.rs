//! The batch itself: what is recorded, and its flush from begin to end.

use super::flushing::Flushing;
use super::gather::Gathered;
use super::start::Started;
use crate::arch::{Arch, Half, Reach};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::{FlushError, Incomplete, Refused};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::secondary::Needs;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::stats::Stats;
use crate::ticket::{Held, Task, Waits};
use core::fmt;

/// Why a change could not be put into a batch. It has to be flushed otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AddError<const WORDS: usize> {
    /// The machine cannot have such a change, or the space ends.
    Refused(Refused),
    /// Every place is taken by another space: flush the batch, then add the change again.
    Full,
    /// The change is in the batch. A secondary TLB that is told at once ([`Needs::AT_ADD`]) has not answered: it may go on using what the
    /// change has taken away, and is told again when the batch is flushed.
    Incomplete(Incomplete<WORDS>),
}

impl<const WORDS: usize> fmt::Display for AddError<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Full => f.write_str("every place of the batch is taken"),
            Self::Incomplete(incomplete) => incomplete.fmt(f),
        }
    }
}

impl<const WORDS: usize> core::error::Error for AddError<WORDS> {}

/// One change. A space may have several: pages that do not lie side by side.
pub(super) struct Record<'e, A: Arch, const WORDS: usize> {
    pub(super) space: &'e AddressSpace<A, WORDS>,
    pub(super) flush: Flush,
    /// A secondary TLB that is told at once has not answered.
    pub(super) is_untold: bool,
}

/// Changes of any number of address spaces that will be flushed together, and the memory that may be released only then.
///
/// Of the `PLACES` each holds one change: pages side by side, or everything of a space. Where none is left, changes of one space are merged
/// upward, page < range < everything, which is counted as an escalation of the flush: that many spaces find a place, whatever else was added.
///
/// It belongs to one task, which may move between CPUs while nothing is being flushed. Several batches may hold changes of one space. A
/// space of which a batch holds a change cannot be retired. A batch that is dropped flushes first; where somebody has not answered by the
/// deadline, what it holds goes to quarantine and its spaces stay as they are: they can be flushed, and never be retired.
pub struct Reclaim<'e, P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS> = ()> {
    engine: &'e Shootdown<P, WORDS>,
    records: [Option<Record<'e, P::Arch, WORDS>>; PLACES],
    held: H,
    /// One of the pages was dirty.
    is_dirty: bool,
    /// How often a change was merged upward for want of a place.
    escalations: u32,
    /// What those cost that were told when a change was added.
    told: Cost,
}

impl<'e, P: Platform, const WORDS: usize, const PLACES: usize> Reclaim<'e, P, WORDS, PLACES> {
    /// An empty batch that holds no memory.
    pub fn new(engine: &'e Shootdown<P, WORDS>) -> Self {
        Self::holding(engine, ())
    }
}

impl<'e, P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>>
    Reclaim<'e, P, WORDS, PLACES, H>
{
    /// An empty batch for memory that is released when the changes are flushed.
    pub fn holding(engine: &'e Shootdown<P, WORDS>, held: H) -> Self {
        Self {
            engine,
            records: [const { None }; PLACES],
            held,
            is_dirty: false,
            escalations: 0,
            told: Cost::ZERO,
        }
    }

    /// What the batch holds, to add to it. Flushed first where it is full.
    pub fn held(&mut self) -> &mut H {
        &mut self.held
    }

    /// Whether nothing is waiting to be flushed.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(Option::is_none)
    }

    /// Records a change of a space; nothing is issued.
    ///
    /// # Errors
    /// [`AddError`].
    ///
    /// # Context
    /// After the store to the page table, with the lock of that page table held. Interrupts on or off; never from an NMI.
    pub fn add(
        &mut self,
        space: &'e AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<(), AddError<WORDS>> {
        self.record(space, flush)?;
        self.engine.issue_too_early(space, &flush);
        let told = self.tell_at_once(space, flush);
        if told.is_err() {
            // Which of them has the change now, nobody has kept.
            self.tell_again(space);
        }
        told
    }

    /// The same for a page that was dirty: see [`flush_before_io`](Self::flush_before_io).
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ///
    /// # Context
    /// As for [`add`](Self::add).
    pub fn add_dirty(
        &mut self,
        space: &'e AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<(), AddError<WORDS>> {
        self.is_dirty = true;
        self.add(space, flush)
    }

    /// Records a change of everything, of which nobody is told before the flush: nothing is waited for.
    pub(super) fn widen_to_all(
        &mut self,
        space: &'e AddressSpace<P::Arch, WORDS>,
    ) -> Result<(), AddError<WORDS>> {
        self.record(space, Flush::all())?;
        self.tell_again(space);
        Ok(())
    }

    /// What is recorded of this space is told at the flush to those as well that are told at once.
    fn tell_again(&mut self, space: &AddressSpace<P::Arch, WORDS>) {
        self.of(space).for_each(|record| record.is_untold = true);
    }

    fn record(
        &mut self,
        space: &'e AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<(), AddError<WORDS>> {
        self.engine
            .check(Half::User, &flush)
            .map_err(AddError::Refused)?;
        if self.joins(space, &flush) {
            return Ok(());
        }
        if !space.enter_batch() {
            return Err(AddError::Refused(Refused::Retired));
        }
        let Some(place) = self.vacant_place(space) else {
            space.leave_batch();
            return self.merge_upward(space, &flush);
        };
        space.defer();
        *place = Some(Record {
            space,
            flush,
            is_untold: false,
        });
        Ok(())
    }

    /// A place for one more change of a space: where none is left and the space has none yet, two changes of another space become one.
    fn vacant_place(
        &mut self,
        space: &AddressSpace<P::Arch, WORDS>,
    ) -> Option<&mut Option<Record<'e, P::Arch, WORDS>>> {
        let is_full = self.records.iter().all(Option::is_some);
        if is_full && self.of(space).next().is_none() {
            self.merge_two();
        }
        self.records.iter_mut().find(|place| place.is_none())
    }

    /// The last change of a space that has an earlier one is merged into that.
    fn merge_two(&mut self) {
        for last in (1..PLACES).rev() {
            let (earlier, rest) = self.records.split_at_mut(last);
            let Some(place) = rest.first_mut() else {
                continue;
            };
            let Some(merged) = place.take() else {
                continue;
            };
            let mut earlier = earlier.iter_mut().flatten();
            match earlier.find(|one| one.space.id() == merged.space.id()) {
                Some(kept) => {
                    kept.flush = kept.flush.merge(&merged.flush);
                    kept.is_untold |= merged.is_untold;
                    merged.space.leave_batch();
                    self.escalations = self.escalations.saturating_add(1);
                    return;
                }
                None => *place = Some(merged),
            }
        }
    }

    /// Widens a change by one that lies beside it: what is flushed is no more than was asked for.
    fn joins(&mut self, space: &AddressSpace<P::Arch, WORDS>, flush: &Flush) -> bool {
        for record in self.of(space) {
            let joined = record.flush.join(flush);
            if let Some(joined) = joined.filter(|_| !Defect::NeighboursKeptApart.is_put_back()) {
                record.flush = joined;
                space.defer();
                return true;
            }
        }
        false
    }

    fn merge_upward(
        &mut self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: &Flush,
    ) -> Result<(), AddError<WORDS>> {
        let record = self.of(space).next().ok_or(AddError::Full)?;
        record.flush = record.flush.merge(flush);
        space.defer();
        let counted = u32::from(!Defect::BatchMergesUncounted.is_put_back());
        self.escalations = self.escalations.saturating_add(counted);
        Ok(())
    }

    fn of(
        &mut self,
        space: &AddressSpace<P::Arch, WORDS>,
    ) -> impl Iterator<Item = &mut Record<'e, P::Arch, WORDS>> {
        let id = space.id();
        let all = self.records.iter_mut().flatten();
        all.filter(move |record| record.space.id() == id)
    }

    /// Secondary TLBs that cannot wait for the batch.
    fn tell_at_once(
        &mut self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: Flush,
    ) -> Result<(), AddError<WORDS>> {
        let slots = &space.secondaries;
        if slots.summary().is_empty() {
            return Ok(());
        }
        let mut waits = Waits::new(Task::Flush(flush));
        let at_once = |needs: Needs| needs.contains(Needs::AT_ADD);
        self.engine.in_callback(|| waits.enlist(slots, at_once));
        if !waits.is_pending() {
            return Ok(());
        }
        let mut cost = Cost::ZERO;
        {
            let _pin = self.engine.platform().pin_cpu();
            self.engine
                .arch()
                .store_barrier(Reach::Broadcast, &mut cost);
        }
        match self.engine.finish_waits(Some(slots), waits, cost) {
            Ok(cost) => {
                self.told += cost;
                Ok(())
            }
            Err(FlushError::Refused(refused)) => Err(AddError::Refused(refused)),
            Err(FlushError::Incomplete(incomplete)) => Err(AddError::Incomplete(incomplete)),
        }
    }

    /// Flushes everything that was added, on every CPU and every secondary TLB, and releases what the batch holds. One round for all of
    /// it: see the [module](super). The cost is that of the round, and of the notices that were given when changes were added.
    ///
    /// # Errors
    /// [`FlushError`]. Everything stays in the batch and is held: flush again.
    ///
    /// # Context
    /// Task or interrupt context, interrupts on or off, page-table locks held; never from an NMI. While it waits it serves requests of
    /// other CPUs.
    pub fn flush(&mut self) -> Result<Cost, FlushError<WORDS>> {
        let flushing = self.start().map_err(FlushError::Refused)?;
        flushing.wait_or_leave().map_err(FlushError::Incomplete)
    }

    /// Starts the flush: on return the secondary TLBs have been told and the CPU side of architectures that broadcast is complete; who has to
    /// answer is in the [`Flushing`], to poll, await or join with others. Until it ends nothing can be added.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// As for [`flush`](Self::flush), without waiting.
    pub fn start(&mut self) -> Result<Flushing<'_, 'e, P, WORDS, PLACES, H>, Refused> {
        self.start_with(None)
    }

    /// The same for the last flush of a gather.
    pub(super) fn start_with<'b>(
        &'b mut self,
        gather: Option<&'b mut Gathered<'e, P::Arch, WORDS>>,
    ) -> Result<Flushing<'b, 'e, P, WORDS, PLACES, H>, Refused> {
        let started = if self.is_empty() {
            None
        } else {
            Some(Started::new(self.engine, &self.records)?)
        };
        Ok(Flushing::new(self, started, gather))
    }

    /// Everybody has answered.
    pub(super) fn completed(&mut self, mut cost: Cost) -> Cost {
        cost.escalations += core::mem::take(&mut self.escalations);
        if !self.is_empty() {
            self.engine.count_completed(&cost);
        }
        for record in self.records.iter_mut().filter_map(Option::take) {
            record.space.leave_batch();
        }
        self.is_dirty = false;
        self.held.release();
        // Counted when it was complete.
        cost += core::mem::take(&mut self.told);
        cost
    }

    pub(super) fn engine(&self) -> &'e Shootdown<P, WORDS> {
        self.engine
    }

    pub(super) fn records(&self) -> &[Option<Record<'e, P::Arch, WORDS>>; PLACES] {
        &self.records
    }

    /// Flushes where a page that was dirty is among what was added: before it is written to its backing store, so that no CPU and no
    /// device writes to it behind the copy.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    ///
    /// # Context
    /// As for [`flush`](Self::flush).
    pub fn flush_before_io(&mut self) -> Result<Cost, FlushError<WORDS>> {
        if self.is_dirty && !Defect::DirtyPagesWrittenFirst.is_put_back() {
            self.flush()
        } else {
            Ok(Cost::ZERO)
        }
    }
}

impl<P: Platform, const WORDS: usize, const PLACES: usize, H: Held<WORDS>> Drop
    for Reclaim<'_, P, WORDS, PLACES, H>
{
    fn drop(&mut self) {
        let Err(error) = self.flush() else { return };
        let unanswered = match error {
            FlushError::Incomplete(incomplete) => incomplete,
            FlushError::Refused(_) => Incomplete::by_all(self.engine.online_cpus()),
        };
        let items = self.held.quarantine(&unanswered);
        self.engine.count(&Stats {
            quarantined: items as u64,
            ..Stats::default()
        });
    }
}

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Flushes a space where a batch holds changes of it that were not flushed yet: called before anybody relies on an entry that is not in
    /// the table not being in a TLB either, and before a new entry is stored where one is missing. One load where there are none.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    ///
    /// # Context
    /// With the lock of the page table held under which the entries were removed; else as for [`start`](Self::start).
    pub fn flush_pending(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
    ) -> Result<Cost, FlushError<WORDS>> {
        // This branch is a barrier as well: on AArch64 a TLBI follows a load by a dependency or a DSB, never by its being an acquire.
        let Some(deferred) = space.deferred() else {
            return Ok(Cost::ZERO);
        };
        let cost = self.flush_space(space)?;
        space.cover(deferred);
        Ok(cost)
    }
}
