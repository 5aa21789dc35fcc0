//! Several CPUs that change and flush at the same time.

use super::Way;
use super::bench::Bench;
use super::flush::ended;
use crate::conformance::cpus::check_together;
use crate::conformance::entry::{Entry, PAGES};
use crate::conformance::failure::Failure;
use crate::lock::Lock;
use core::sync::atomic::{AtomicUsize, Ordering};
use tlb_shootdown::platform::Platform;

/// How often they do.
const ROUNDS: usize = 4;

impl<P: Platform, const WORDS: usize> Bench<'_, P, WORDS> {
    /// Every CPU unmaps and flushes pages of its own while the others do the same. Whether they could.
    pub(super) fn at_once(&self) -> Result<bool, Failure> {
        for _ in 0..ROUNDS {
            self.prepare(Way::AtOnce, self.probe)?;
            let next = AtomicUsize::new(0);
            let tables = Lock::new(());
            let together = check_together(self.probe, || {
                let mine = next.fetch_add(1, Ordering::Relaxed);
                self.unmap_every(self.online.len(), mine, &tables)
            })?;
            if !together {
                return Ok(false);
            }
            self.look(Way::AtOnce)?;
        }
        Ok(true)
    }

    /// Unmaps and flushes each page of so many, from the first one on; the whole space where there is none.
    fn unmap_every(&self, of: usize, first: usize, tables: &Lock<()>) -> Result<(), Failure> {
        let (engine, window) = (self.engine, self.probe);
        if first >= PAGES {
            return ended(Way::AtOnce, engine.flush_space(self.space));
        }
        (first..PAGES).step_by(of.max(1)).try_for_each(|page| {
            tables.with(|()| window.store(page, Entry::Nothing));
            let flushed = engine.flush_page(self.space, window.address(page), window.page_size());
            ended(Way::AtOnce, flushed)
        })
    }
}
