//! Each way as a kernel goes it.

use super::bench::Bench;
use super::way::Way;
use crate::conformance::cpus::Check;
use crate::conformance::entry::{Entry, PAGES, Window, range};
use crate::conformance::failure::Failure;
use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::batch::{AddError, Gather, GatherError, Reclaim};
use tlb_shootdown::change::ReplaceStep;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::error::{FlushError, Incomplete, Refused};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown::ticket::{FrameSink, Frames, Item};

type Flushed<const WORDS: usize> = Result<Cost, FlushError<WORDS>>;

/// Who is to answer for a flush that did not complete.
pub(super) fn ended<const WORDS: usize>(way: Way, flushed: Flushed<WORDS>) -> Check {
    match flushed {
        Ok(_) => Ok(()),
        Err(FlushError::Refused(refused)) => Err(Failure::FlushRefused { way, refused }),
        Err(FlushError::Incomplete(incomplete)) => {
            let cpu = incomplete.cpus.iter().next();
            Err(Failure::FlushIncomplete { way, cpu })
        }
    }
}

impl<P: Platform, const WORDS: usize> Bench<'_, P, WORDS> {
    /// The change with its flush, on the executing CPU.
    pub(super) fn carry_out(&self, way: Way, window: &dyn Window) -> Check {
        if way.asks_for_stores() {
            ended(way, self.store_when_asked(way, window))?;
            // A new entry where none was is the kernel's to make visible, here by the flush of another page.
            return ended(way, self.engine.flush(self.space, one(window, 1)));
        }
        self.change(way, window);
        let flushed = if way.is_kernel() {
            self.flush_kernel(way, window)
        } else {
            self.flush_user(way, window)
        };
        ended(way, flushed)
    }

    fn store_when_asked(&self, way: Way, window: &dyn Window) -> Flushed<WORDS> {
        let flush = one(window, 0);
        let (_, new) = way.entries();
        if way == Way::Replace {
            return self.engine.replace(self.space, flush, |step| match step {
                ReplaceStep::Invalidate => window.store(0, Entry::Nothing),
                ReplaceStep::Store => window.store(0, new),
            });
        }
        self.engine.upgrade(self.space, flush, |step| match step {
            UpgradeStep::Invalidate => window.store(0, Entry::Nothing),
            UpgradeStep::Widen => window.store(0, new),
        })
    }

    fn flush_kernel(&self, way: Way, window: &dyn Window) -> Flushed<WORDS> {
        match way {
            Way::KernelRange => self.engine.flush_kernel_range(range(window)),
            Way::KernelTables => self.engine.flush_kernel_tables(range(window)),
            _ => self.engine.flush_all(),
        }
    }

    fn flush_user(&self, way: Way, window: &dyn Window) -> Flushed<WORDS> {
        let (engine, space) = (self.engine, self.space);
        let size = window.page_size();
        let all = Flush::pages(range(window));
        match way {
            Way::Page | Way::Downgrade => engine.flush_page(space, window.address(0), size),
            Way::Range => engine.flush(space, all.leaf_only().leaf_size(size)),
            Way::Start => match engine.start(space, all)?.wait() {
                Ok(cost) => Ok(cost),
                Err(left) => Err(FlushError::Incomplete(left.error)),
            },
            Way::FlushUpgrade => engine.flush_upgrade(space, one(window, 0)),
            // Visible, and nobody is told: the flush of another page.
            Way::SpuriousFault => engine.flush(space, one(window, 1)),
            Way::Gather => self.gather(window),
            Way::Reclaim => self.reclaim(window),
            Way::Tables => engine.flush(space, all),
            _ => engine.flush_space(space),
        }
    }

    fn gather(&self, window: &dyn Window) -> Flushed<WORDS> {
        let frames = Frames::inline::<1>(&Nowhere);
        let mut gather = Gather::new(self.engine, self.space, frames)?;
        for page in 0..PAGES {
            let gathered = gather.unmap(window.address(page), window.page_size(), None);
            gathered.map_err(|error| match error {
                GatherError::Refused(refused) => FlushError::Refused(refused),
                GatherError::Incomplete(error) => error,
                GatherError::NotTold(error) => not_added(error),
                // It was lent one place, and given no memory.
                GatherError::NoStorage => FlushError::Refused(Refused::Deferred),
            })?;
        }
        gather.finish()
    }

    fn reclaim(&self, window: &dyn Window) -> Flushed<WORDS> {
        let mut batch = Reclaim::<_, WORDS, PAGES>::new(self.engine);
        for page in Way::Reclaim.pages() {
            let added = batch.add(self.space, one(window, page));
            added.map_err(not_added)?;
        }
        batch.flush()
    }
}

/// One page, described as tightly as can be.
fn one(window: &dyn Window, page: usize) -> Flush {
    Flush::page(window.address(page), window.page_size())
}

fn not_added<const WORDS: usize>(error: AddError<WORDS>) -> FlushError<WORDS> {
    match error {
        AddError::Refused(refused) => FlushError::Refused(refused),
        AddError::Incomplete(incomplete) => FlushError::Incomplete(incomplete),
        // One space finds a place in any batch.
        AddError::Full => FlushError::Refused(Refused::Deferred),
    }
}

/// Where nothing goes: the test frames stay the kernel's.
struct Nowhere;

impl<const WORDS: usize> FrameSink<WORDS> for Nowhere {
    fn release_frame(&self, _: PhysAddr, _: PageSize) {}
    fn release_table(&self, _: PhysAddr) {}
    fn quarantine(&self, _: &[Item], _: &Incomplete<WORDS>) {}
}
