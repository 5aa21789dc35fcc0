//! Unmap, flush, free: the way of one operation on one address space.

use super::flushing::Flushing;
use super::reclaim::{AddError, Reclaim};
use crate::address::{PageRange, PageSize, PhysAddr, VirtAddr};
use crate::arch::Arch;
use crate::cost::Cost;
use crate::error::{FlushError, Refused};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;
use crate::ticket::{FrameSink, Frames, Item, StorageFull};
use core::fmt;

/// Why a change could not be gathered. Nothing is lost: what was gathered before stays, and so does the change itself where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GatherError<const WORDS: usize> {
    /// The machine cannot have such a change. The memory is still the caller's.
    Refused(Refused),
    /// There was no place left for the memory, and the early flush was not answered by everybody. The change is gathered; the memory is
    /// still the caller's, and must not be reused before a flush has succeeded.
    Incomplete(FlushError<WORDS>),
    /// A secondary TLB that is told at once has not answered. The change is gathered and so is the memory, and both stay until a flush of
    /// the gather succeeds, which tells that TLB again.
    NotTold(AddError<WORDS>),
    /// The storage has no place at all.
    NoStorage,
}

impl<const WORDS: usize> fmt::Display for GatherError<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Incomplete(error) => error.fmt(f),
            Self::NotTold(error) => error.fmt(f),
            Self::NoStorage => f.write_str("the storage for memory has no place"),
        }
    }
}

impl<const WORDS: usize> core::error::Error for GatherError<WORDS> {}

/// How many runs of pages a gather keeps apart before it flushes what lies between them as well.
const RUNS: usize = 8;

/// The last flush of a [`Gather`], started.
pub type Finishing<'b, 'e, P, const WORDS: usize, S, B> =
    Flushing<'b, 'e, P, WORDS, RUNS, Frames<'e, S, B>>;

/// What one operation (an unmap, the end of a process) has taken out of one space: changed entries, and the frames and tables that come
/// free when nobody can use them any more.
///
/// The order is the caller's as far as the table goes: the entry is cleared, or the table unhooked, before it is gathered. Everything
/// else is the gather's: nothing is issued until [`finish`](Self::finish), or until the storage for memory is full, which flushes early.
/// Its books lie in the value and in the storage that the caller lends, never in the memory that is to be released.
///
/// Several gathers of one space may be open at once. Each may have met entries that another has cleared and not flushed; so whoever
/// finishes while another is open flushes the whole space. A gather that has ended is open again as soon as something more is gathered.
///
/// A gather that is dropped finishes first.
pub struct Gather<'e, P, const WORDS: usize, S, B>
where
    P: Platform,
    S: FrameSink<WORDS> + ?Sized,
    B: AsRef<[Item]> + AsMut<[Item]>,
{
    batch: Reclaim<'e, P, WORDS, RUNS, Frames<'e, S, B>>,
    gathered: Gathered<'e, P::Arch, WORDS>,
}

/// A gather's own books, beside those of its batch.
pub(super) struct Gathered<'e, A: Arch, const WORDS: usize> {
    space: &'e AddressSpace<A, WORDS>,
    /// Of all flushes so far.
    cost: Cost,
    is_open: bool,
}

impl<A: Arch, const WORDS: usize> Gathered<'_, A, WORDS> {
    /// Takes something in: others count a gather that had ended again, before the lock under which the entry was cleared is let go.
    fn open(&mut self) -> Result<(), Refused> {
        if !self.is_open && !self.space.open_gather() {
            return Err(Refused::Retired);
        }
        self.is_open = true;
        Ok(())
    }

    /// The last flush is complete; what all of them cost.
    pub(super) fn end(&mut self, last: Cost) -> Cost {
        self.cost += last;
        if core::mem::replace(&mut self.is_open, false) {
            self.space.close_gather();
        }
        self.cost
    }
}

impl<'e, P, const WORDS: usize, S, B> Gather<'e, P, WORDS, S, B>
where
    P: Platform,
    S: FrameSink<WORDS> + ?Sized,
    B: AsRef<[Item]> + AsMut<[Item]>,
{
    /// Opens a gather for a space. `frames` is the storage for what comes free, and where it goes.
    ///
    /// # Errors
    /// [`Refused::Retired`].
    ///
    /// # Context
    /// Before the page-table lock is taken under which entries are cleared. Never from an NMI.
    pub fn new(
        engine: &'e Shootdown<P, WORDS>,
        space: &'e AddressSpace<P::Arch, WORDS>,
        frames: Frames<'e, S, B>,
    ) -> Result<Self, Refused> {
        let mut gathered = Gathered {
            space,
            cost: Cost::ZERO,
            is_open: false,
        };
        gathered.open()?;
        Ok(Self {
            batch: Reclaim::holding(engine, frames),
            gathered,
        })
    }

    /// A page of exactly this size was unmapped; its frame comes free with the gather, where one is given.
    ///
    /// # Errors
    /// [`GatherError`].
    ///
    /// # Context
    /// After the store to the page table, its lock held. Flushes early where the storage is full, and then as [`finish`](Self::finish).
    pub fn unmap(
        &mut self,
        page: VirtAddr,
        size: PageSize,
        frame: Option<PhysAddr>,
    ) -> Result<(), GatherError<WORDS>> {
        let item = frame.map(|base| Item::Frame { base, size });
        self.gather(Flush::page(page, size), item)
    }

    /// The same of a page that was dirty, whose reverse mapping has to outlive the last entry through which it can be written
    /// ([`FrameSink::remove_reverse_map`]).
    ///
    /// # Errors
    /// As for [`unmap`](Self::unmap).
    ///
    /// # Context
    /// As for [`unmap`](Self::unmap).
    pub fn unmap_dirty(
        &mut self,
        page: VirtAddr,
        size: PageSize,
        frame: PhysAddr,
    ) -> Result<(), GatherError<WORDS>> {
        let item = Item::DirtyFrame { base: frame, size };
        self.gather(Flush::page(page, size), Some(item))
    }

    /// A page-table page was taken out of the tree. `covered` is what it translated, in the stride of its entries.
    ///
    /// # Errors
    /// As for [`unmap`](Self::unmap).
    ///
    /// # Context
    /// As for [`unmap`](Self::unmap).
    pub fn free_table(
        &mut self,
        covered: PageRange,
        table: PhysAddr,
    ) -> Result<(), GatherError<WORDS>> {
        let item = Item::Table { base: table };
        self.gather(Flush::pages(covered), Some(item))
    }

    /// Entries changed in any other way, and nothing comes free.
    ///
    /// # Errors
    /// As for [`unmap`](Self::unmap).
    ///
    /// # Context
    /// As for [`unmap`](Self::unmap).
    pub fn change(&mut self, flush: Flush) -> Result<(), GatherError<WORDS>> {
        self.gather(flush, None)
    }

    fn gather(&mut self, flush: Flush, item: Option<Item>) -> Result<(), GatherError<WORDS>> {
        self.gathered.open().map_err(GatherError::Refused)?;
        let told = match self.batch.add(self.gathered.space, flush) {
            Ok(()) => Ok(()),
            Err(AddError::Refused(refused)) => return Err(GatherError::Refused(refused)),
            Err(error) => Err(GatherError::NotTold(error)),
        };
        match item {
            Some(item) => self.hold(item).and(told),
            None => told,
        }
    }

    /// Holds a piece of memory whose change is gathered already.
    fn hold(&mut self, item: Item) -> Result<(), GatherError<WORDS>> {
        let Err(StorageFull(item)) = self.batch.held().push(item) else {
            return Ok(());
        };
        self.flush().map_err(GatherError::Incomplete)?;
        let held = self.batch.held().push(item);
        held.map_err(|StorageFull(_)| GatherError::NoStorage)
    }

    /// Flushes what was gathered and releases the memory; the gather goes on. For operations that let go of a lock in between.
    ///
    /// # Errors
    /// [`FlushError`]. Everything stays gathered: flush again.
    ///
    /// # Context
    /// As for [`Reclaim::flush`].
    pub fn flush(&mut self) -> Result<Cost, FlushError<WORDS>> {
        let cost = self.batch.flush()?;
        self.gathered.cost += cost;
        Ok(cost)
    }

    /// Flushes what was gathered, releases the memory and ends the gather. The cost is that of all its flushes.
    ///
    /// # Errors
    /// [`FlushError`]. Everything stays gathered and held: finish again.
    ///
    /// # Context
    /// As for [`Reclaim::flush`].
    pub fn finish(&mut self) -> Result<Cost, FlushError<WORDS>> {
        let flushing = self.start_finish().map_err(FlushError::Refused)?;
        flushing.wait_or_leave().map_err(FlushError::Incomplete)
    }

    /// Starts the last flush; the gather ends when it completes. For those who poll, await or join it with others.
    ///
    /// # Errors
    /// [`Refused`], where nothing was issued.
    ///
    /// # Context
    /// As for [`Reclaim::start`].
    pub fn start_finish(&mut self) -> Result<Finishing<'_, 'e, P, WORDS, S, B>, Refused> {
        let Gathered { space, is_open, .. } = self.gathered;
        if is_open && space.has_other_gathers() {
            let everything = self.batch.widen_to_all(space);
            if let Err(AddError::Refused(refused)) = everything {
                return Err(refused);
            }
        }
        self.batch.start_with(Some(&mut self.gathered))
    }
}

impl<P, const WORDS: usize, S, B> Drop for Gather<'_, P, WORDS, S, B>
where
    P: Platform,
    S: FrameSink<WORDS> + ?Sized,
    B: AsRef<[Item]> + AsMut<[Item]>,
{
    /// Where somebody does not answer, the batch within tries once more, and then gives what it holds to quarantine.
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
