//! The calls of the crate's engine, which are the same on every machine.

use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::Arch;
use tlb_shootdown::batch::{AddError, GatherError};
use tlb_shootdown::change::{Reason, ReplaceStep};
use tlb_shootdown::error::{FlushError, Incomplete};
use tlb_shootdown::flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;

use crate::deferred::{gather, reclaim};
use crate::{Access, Cost, Directory, Flush, Page, Refusal};

/// Sizes of a page, and of a large one, in whose place a table of them can stand.
const SMALL: PageSize = PageSize::KIB_4;
const LARGE: PageSize = PageSize::MIB_2;

/// Whose pages the engine is asked to invalidate.
pub struct Spaces<'a, A: Arch, const WORDS: usize> {
    /// That under test.
    pub tested: &'a AddressSpace<A, WORDS>,
    /// What the same CPUs have run before it.
    pub neighbour: &'a AddressSpace<A, WORDS>,
    /// Where the pages of either begin: aligned to a large page.
    pub base: VirtAddr,
}

/// A shootdown that was refused or did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unflushed<const WORDS: usize> {
    /// That of one change.
    Flush(FlushError<WORDS>),
    /// That of a gather.
    Gather(GatherError<WORDS>),
    /// That of a batch.
    Batch(AddError<WORDS>),
}

impl<const WORDS: usize> From<FlushError<WORDS>> for Unflushed<WORDS> {
    fn from(error: FlushError<WORDS>) -> Self {
        Self::Flush(error)
    }
}

impl<const WORDS: usize> From<Incomplete<WORDS>> for Unflushed<WORDS> {
    fn from(error: Incomplete<WORDS>) -> Self {
        Self::Flush(FlushError::Incomplete(error))
    }
}

impl<A: Arch, const WORDS: usize> Spaces<'_, A, WORDS> {
    fn page(&self, page: Page) -> VirtAddr {
        VirtAddr::new(self.base.raw() + u64::from(page.0) * SMALL.bytes())
    }

    fn range(&self, first: Page, count: u8) -> PageRange {
        let last = Page(first.0 + count - 1);
        let [first, last] = [first, last].map(|page| PageRange::page(self.page(page), SMALL));
        first.hull(&last)
    }
}

/// Has the engine invalidate, for [`Machine::flush`](crate::Machine::flush).
///
/// # Errors
/// [`Unflushed`].
pub fn flush<P: Platform, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    spaces: &Spaces<'_, P::Arch, WORDS>,
    flush: Flush,
) -> Result<Cost, Unflushed<WORDS>> {
    let space = spaces.tested;
    let cost = match flush {
        Flush::Upgrade(page) => {
            engine.flush_upgrade(space, flush::Flush::page(spaces.page(page), SMALL))
        }
        Flush::Page(page) => engine.flush_page(space, spaces.page(page), SMALL),
        Flush::Range { first, count } => {
            let pages = flush::Flush::pages(spaces.range(first, count));
            engine.flush(space, pages.leaf_only().leaf_size(SMALL))
        }
        Flush::Space => engine.flush_space(space),
        Flush::Gather(gathered) => {
            let pages = gathered.iter().map(|&page| spaces.page(page));
            return gather(engine, space, pages).map_err(Unflushed::Gather);
        }
        Flush::Reclaim(taken) => {
            let pages = taken.iter().map(|&page| spaces.page(page));
            let both = [space, spaces.neighbour];
            return reclaim(engine, both, pages).map_err(Unflushed::Batch);
        }
    };
    Ok(cost?.into())
}

/// Has the engine replace the large page by the table of its pages, for [`Machine::split`](crate::Machine::split). `store` stores the
/// entry above them, and `look` lets the observer access a page in between.
///
/// # Errors
/// [`Unflushed`], and those of `look`.
pub fn split<P: Platform, E: From<Unflushed<WORDS>>, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    spaces: &Spaces<'_, P::Arch, WORDS>,
    mut store: impl FnMut(Directory),
    mut look: impl FnMut() -> Result<Access, E>,
) -> Result<(Access, Cost), E> {
    let decision = engine.arch().decide(Reason::Split);
    let flush = decision.flush(PageRange::page(spaces.base, LARGE), Some(LARGE));
    // Never right: what it is where nobody has looked.
    let mut between = Ok(Access::Refused(Refusal::Other));
    let cost = engine.replace(spaces.tested, flush, |step| match step {
        ReplaceStep::Invalidate => store(Directory::Empty),
        ReplaceStep::Store => {
            between = look();
            store(Directory::Table);
        }
    });
    let cost = cost.map_err(Unflushed::from)?;
    Ok((between?, cost.into()))
}
