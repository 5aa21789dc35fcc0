//! Stores that were translated and have not been performed, oldest first.

use crate::ground::Ground;
use crate::oracle::Holder;
use crate::tlb::Entry;
use alloc::vec::Vec;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) entry: Entry,
    pub(super) va: u64,
    pub(super) pa: u64,
    pub(super) value: u64,
}

/// All of one CPU.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreQueue {
    queued: Vec<Queued>,
}

impl StoreQueue {
    pub(super) fn push(&mut self, queued: Queued) {
        self.queued.push(queued);
    }

    /// Performs those of some entries, wherever the tables lead by now.
    pub(super) fn perform(
        &mut self,
        holder: Holder,
        ground: &mut Ground,
        of: impl Fn(&Entry) -> bool,
    ) {
        let (due, left): (Vec<Queued>, _) =
            self.queued.iter().partition(|queued| of(&queued.entry));
        self.queued = left;
        for queued in due {
            let Queued { entry, va, .. } = queued;
            ground.oracle.used(holder, &entry, va, &ground.memory);
            ground.memory.write(queued.pa, queued.value);
        }
    }

    pub(super) fn perform_oldest(&mut self, holder: Holder, ground: &mut Ground) {
        if let Some(oldest) = self.queued.first().copied() {
            self.queued.remove(0);
            let mut alone = Self {
                queued: alloc::vec![oldest],
            };
            alone.perform(holder, ground, |_| true);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.queued.iter().map(|queued| &queued.entry)
    }
}
