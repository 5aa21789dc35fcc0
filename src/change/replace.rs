//! Replacing entries that must never be live together with those that follow them.

use crate::cost::Cost;
use crate::defects::Defect;
use crate::error::FlushError;
use crate::flush::Flush;
use crate::platform::Platform;
use crate::shootdown::Shootdown;
use crate::space::AddressSpace;

/// A store that a replacement consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReplaceStep {
    /// Make the entry invalid for hardware. Whoever faults on it meanwhile waits for the lock that the caller holds.
    Invalidate,
    /// Store what replaces it.
    Store,
}

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Replaces entries by others that must not be live at the same time (break-before-make): `store` is asked to make them invalid, CPUs
    /// and secondary TLBs drop them, and only then `store` is asked for the new ones. Nobody has cached those, so no second flush
    /// follows.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush). The entries are invalid then, and `store` was not asked for the new ones: replace again, or put the
    /// old ones back once nobody is missing.
    ///
    /// # Context
    /// As for [`start`](Self::start), with the page-table lock held throughout.
    pub fn replace(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        flush: Flush,
        mut store: impl FnMut(ReplaceStep),
    ) -> Result<Cost, FlushError<WORDS>> {
        if Defect::InvalidStepLeftOut.is_put_back() {
            store(ReplaceStep::Store);
            return self.flush(space, flush);
        }
        store(ReplaceStep::Invalidate);
        let cost = self.flush(space, flush)?;
        store(ReplaceStep::Store);
        Ok(cost)
    }
}
