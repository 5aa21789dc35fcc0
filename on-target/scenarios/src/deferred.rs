//! Deferred shootdown, which is the same on every machine. Its frames are lent for ever: nothing comes free.

use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::batch::{AddError, Gather, GatherError, Reclaim};
use tlb_shootdown::error::{FlushError, Incomplete};
use tlb_shootdown::flush;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Frames, Item};

use crate::Cost;

/// Spaces of which a batch takes pages.
const SPACES: usize = 2;

/// Pages of each of them that a batch takes, none beside another.
const SCATTERED: usize = 3;

/// Where nothing goes.
struct Nowhere;

impl<const WORDS: usize> FrameSink<WORDS> for Nowhere {
    fn release_frame(&self, _: PhysAddr, _: PageSize) {}
    fn release_table(&self, _: PhysAddr) {}
    fn quarantine(&self, _: &[Item], _: &Incomplete<WORDS>) {}
}

/// Unmaps pages of 4 KiB in one gather, for [`Flush::Gather`](crate::Flush::Gather).
///
/// # Errors
/// The library's.
pub(crate) fn gather<P: Platform, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    space: &AddressSpace<P::Arch, WORDS>,
    pages: impl IntoIterator<Item = VirtAddr>,
) -> Result<Cost, GatherError<WORDS>> {
    let frames = Frames::inline::<1>(&Nowhere);
    let mut gather = Gather::new(engine, space, frames).map_err(GatherError::Refused)?;
    for page in pages {
        gather.unmap(page, PageSize::KIB_4, None)?;
    }
    let cost = gather.finish();
    cost.map(Cost::from).map_err(GatherError::Incomplete)
}

/// Takes pages of 4 KiB away from each of the spaces in one batch, for [`Flush::Reclaim`](crate::Flush::Reclaim).
///
/// # Errors
/// The library's.
pub(crate) fn reclaim<P: Platform, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    spaces: [&AddressSpace<P::Arch, WORDS>; SPACES],
    pages: impl IntoIterator<Item = VirtAddr> + Clone,
) -> Result<Cost, AddError<WORDS>> {
    let mut batch = Reclaim::<_, WORDS, { SPACES * SCATTERED }>::new(engine);
    for space in spaces {
        for page in pages.clone() {
            batch.add(space, flush::Flush::page(page, PageSize::KIB_4))?;
        }
    }
    match batch.flush() {
        Ok(cost) => Ok(cost.into()),
        Err(FlushError::Refused(refused)) => Err(AddError::Refused(refused)),
        Err(FlushError::Incomplete(incomplete)) => Err(AddError::Incomplete(incomplete)),
    }
}
