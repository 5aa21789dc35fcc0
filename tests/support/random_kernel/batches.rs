//! What the kernel defers: batches over its spaces that stay open while it goes on with other things.

use super::book::Changes;
use super::kernel::{CPUS, Does, Kernel, Left, SPACES};
use super::op::How;
use super::pages::Half;
use super::{Machine, Sink};
use std::collections::BTreeMap;
use tlb_shootdown::arch::Arch;
use tlb_shootdown::batch::{AddError, Reclaim};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::{Frames, Item, StorageFull};
use tlb_shootdown_model::platform::ModelPlatform;

/// Open at the same time.
pub(crate) const BATCHES: usize = 2;

/// Fewer than there are spaces, so that batches fill up.
const PLACES: usize = SPACES - 1;

/// Fewer than may come free, so that a batch is flushed for want of room.
const ROOM: usize = 24;

type Open<A> = Reclaim<'static, ModelPlatform<A>, 1, PLACES, Frames<'static, Sink, [Item; ROOM]>>;

/// A batch, and what the kernel knows of it.
pub(super) struct Batch<A: Arch + 'static> {
    open: Option<Open<A>>,
    /// By space: what is pending in it. Empty where a flush of the whole space has covered it.
    changes: BTreeMap<usize, Changes>,
    items: usize,
    /// Frames of dirty pages, which are written out before they are freed.
    dirty: Vec<u64>,
}

impl<A: Arch + 'static> Default for Batch<A> {
    fn default() -> Self {
        Self {
            open: None,
            changes: BTreeMap::new(),
            items: 0,
            dirty: Vec::new(),
        }
    }
}

impl<A: Arch + 'static> Batch<A> {
    pub(super) fn items(&self) -> usize {
        self.items
    }

    pub(super) fn holds(&self, space: usize) -> bool {
        self.changes.contains_key(&space)
    }
}

/// Two pages side by side: changes of them are one in a batch.
fn neighbours(page: u64) -> [u64; 2] {
    [page, page ^ 1]
}

impl<M: Machine> Kernel<M> {
    /// Reclaim takes a page that everybody has just used, and written to if it is dirty. It goes into a batch with whatever else has changed in the space.
    pub(super) fn take_page(
        &mut self,
        space: usize,
        page: u64,
        batch: usize,
        how: How,
        dirty: bool,
    ) {
        self.access_by_all(space, page, dirty);
        self.unmap(Half::User(space), page);
        self.defer(space, batch, how, dirty);
    }

    /// What has changed in a space is put into a batch. Memory is added behind the changes that free it.
    pub(super) fn defer(&mut self, space: usize, batch: usize, how: How, dirty: bool) {
        let half = Half::User(space);
        let mut round = self.pending(half, how);
        let items = core::mem::take(&mut round.changes.items);
        for &flush in &round.flushes {
            if self.add(space, batch, flush, dirty) == Err(AddError::Full) {
                self.flush_batch(batch);
                self.add(space, batch, flush, dirty).unwrap();
            }
        }
        if round.flushes.is_empty() {
            return;
        }
        let known = &mut self.batches[batch].changes;
        known.entry(space).or_default().note(&round.changes);
        for item in items {
            match item {
                Item::Frame { base, .. } if dirty => self.batches[batch].dirty.push(base.raw()),
                _ => self.give(batch, item),
            }
        }
    }

    /// A page comes back, or is taken for gone, before the batch is flushed; then its neighbour, which joins it in the batch.
    pub(super) fn take_and_return(&mut self, space: usize, page: u64, batch: usize, maps: bool) {
        for page in neighbours(page) {
            self.take_page(space, page, batch, How::Tight, false);
            match maps {
                true => self.map(Half::User(space), page, true),
                false => self.unmap_or_rely(Half::User(space), page),
            }
        }
    }

    fn add(
        &mut self,
        space: usize,
        batch: usize,
        flush: Flush,
        dirty: bool,
    ) -> Result<(), AddError<1>> {
        let space = self.processes[space].space;
        let open = self.opened(batch);
        if dirty {
            open.add_dirty(space, flush)
        } else {
            open.add(space, flush)
        }
    }

    fn opened(&mut self, batch: usize) -> &mut Open<M::Arch> {
        let frames = || Frames::inline::<ROOM>(self.sink);
        let open = &mut self.batches[batch].open;
        open.get_or_insert_with(|| Reclaim::holding(self.rig.engine(), frames()))
    }

    fn give(&mut self, batch: usize, item: Item) {
        self.sink.owes(&item);
        if let Err(StorageFull(item)) = self.opened(batch).held().push(item) {
            self.flush_batch(batch);
            self.opened(batch).held().push(item).unwrap();
        }
        self.batches[batch].items += 1;
    }

    pub(super) fn flush_batch(&mut self, batch: usize) {
        let Some(mut open) = self.batches[batch].open.take() else {
            return;
        };
        self.take_counts();
        let cost = open.flush().unwrap();
        self.compare_deferred(&cost);
        self.last_cost = cost;
        self.batches[batch].open = Some(open);
        self.is_flushed(batch);
        for frame in core::mem::take(&mut self.batches[batch].dirty) {
            self.rig.model().free(frame);
        }
    }

    /// What the batch held is flushed and has come back.
    fn is_flushed(&mut self, batch: usize) {
        let batch = &mut self.batches[batch];
        batch.items = 0;
        let changes = core::mem::take(&mut batch.changes);
        for (space, changes) in &changes {
            self.returned(Half::User(*space), changes);
        }
    }

    /// Dirty pages are copied to their backing store, and nobody writes behind the copy.
    pub(super) fn write_out(&mut self, batch: usize) {
        let dirty = core::mem::take(&mut self.batches[batch].dirty);
        let Some(mut open) = self.batches[batch].open.take() else {
            return;
        };
        if dirty.is_empty() {
            self.batches[batch].open = Some(open);
            return;
        }
        self.take_counts();
        if self.left != Left::FlushesBeforeIo {
            let cost = open.flush_before_io().unwrap();
            self.compare_deferred(&cost);
            self.is_flushed(batch);
        }
        self.batches[batch].open = Some(open);
        let copy = self.copy(&dirty);
        self.write_everywhere();
        assert_eq!(copy, self.copy(&dirty), "written to behind the copy");
        dirty.iter().for_each(|&frame| self.rig.model().free(frame));
    }

    fn copy(&self, frames: &[u64]) -> Vec<u64> {
        let frames = frames.iter();
        frames.map(|&frame| self.rig.model().peek(frame)).collect()
    }

    /// Two pages of each space and whatever else is pending there goes into one batch, which is flushed.
    pub(super) fn reclaim(&mut self, page: u64, how: How) {
        for space in 0..SPACES {
            for page in neighbours(page) {
                self.take_page(space, page, 0, how, false);
            }
        }
        self.fill_up();
        self.flush_batch(0);
    }

    /// Whether a batch holds a change of the page that no flush has covered.
    pub(super) fn is_deferred(&self, half: Half, page: u64) -> bool {
        let Half::User(space) = half else {
            return false;
        };
        let holds = |changes: &Changes| changes.pages.contains(&page);
        let mut all = self.batches.iter();
        all.any(|batch| batch.changes.get(&space).is_some_and(holds))
    }

    /// Before anything is stored where an entry may be pending, or is taken for flushed because it is not there.
    pub(super) fn flush_pending(&mut self, half: Half) {
        let Half::User(space) = half else { return };
        if self.left == Left::PendingFlushes {
            return;
        }
        self.take_counts();
        let engine = self.rig.engine();
        let cost = engine.flush_pending(self.processes[space].space).unwrap();
        self.compare(&cost);
        for batch in 0..BATCHES {
            let Some(changes) = self.batches[batch].changes.get_mut(&space) else {
                continue;
            };
            let covered = core::mem::take(changes);
            assert!(covered.is_empty() || cost.store_barriers > 0, "{covered:?}");
            self.returned(half, &covered);
        }
    }

    /// Everybody goes on using what there is while it is pending.
    pub(super) fn fill_up(&self) {
        for cpu in 0..CPUS {
            let Does::Runs(space) = self.cpus[cpu] else {
                continue;
            };
            for page in 0..self.layout.pages() {
                let va = self.layout.address(Half::User(space), page);
                let _ = self.rig.cpu(cpu).read(va);
            }
        }
        for (context, served) in self.served.iter().enumerate() {
            let Some(served) = served else { continue };
            for page in 0..self.layout.pages() {
                let va = self.layout.address(Half::User(served.space), page);
                let _ = self.devices.read(context, va);
            }
        }
    }
}
