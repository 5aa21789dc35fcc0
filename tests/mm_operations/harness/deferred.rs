//! Changes that are put off: one operation's gather, and reclaim over several processes.

use super::kernel::{Kernel, P};
use super::machine::{Machine, Platform, Space};
use super::page::Page;
use super::sink::Sink;
use tlb_shootdown::address::{PageRange, PhysAddr};
use tlb_shootdown::batch::{Gather, Reclaim};
use tlb_shootdown::change::{Call, Decision, Needed, PutOff};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::{Frames, Item};

/// The most pieces of memory that one operation frees.
const ROOM: usize = 16;

type Held = Frames<'static, Sink, [Item; ROOM]>;

/// What one operation has taken out of P; without the library, a list of what it will free.
pub(crate) struct Gathering<M: Machine> {
    gather: Option<Gather<'static, Platform<M>, 1, Sink, [Item; ROOM]>>,
    unasked: Vec<Item>,
}

impl<M: Machine> Gathering<M> {
    pub(crate) fn unmap(&mut self, page: &Page) {
        self.unasked.push(page.item());
        if let Some(gather) = &mut self.gather {
            let frame = Some(PhysAddr::new(page.frame));
            gather.unmap(page.addr(), page.size, frame).unwrap();
        }
    }

    pub(crate) fn unmap_dirty(&mut self, page: &Page) {
        self.unasked.push(page.dirty_item());
        if let Some(gather) = &mut self.gather {
            let frame = PhysAddr::new(page.frame);
            gather.unmap_dirty(page.addr(), page.size, frame).unwrap();
        }
    }

    pub(crate) fn free_table(&mut self, covered: PageRange, table: u64) {
        let base = PhysAddr::new(table);
        self.unasked.push(Item::Table { base });
        if let Some(gather) = &mut self.gather {
            gather.free_table(covered, base).unwrap();
        }
    }

    pub(crate) fn change(&mut self, flush: Flush) {
        if let Some(gather) = &mut self.gather {
            gather.change(flush).unwrap();
        }
    }
}

/// Changes of several processes.
pub(crate) struct Batch<M: Machine> {
    reclaim: Reclaim<'static, Platform<M>, 1, 4, Held>,
    unasked: Vec<Item>,
    calls: bool,
}

impl<M: Machine> Batch<M> {
    /// A page that may be dirty was unmapped; its frame comes free with the batch, or stays its owner's.
    pub(crate) fn add(
        &mut self,
        space: &'static Space<M>,
        decision: &Decision,
        page: &Page,
        comes_free: bool,
    ) {
        assert_eq!(decision.call(), Call::Flush);
        let item = comes_free.then(|| page.item());
        self.unasked.extend(item);
        if self.calls {
            self.reclaim.add_dirty(space, page.flush(decision)).unwrap();
            if let Some(item) = item {
                self.reclaim.held().push(item).unwrap();
            }
        }
    }
}

impl<M: Machine> Kernel<M> {
    pub(crate) fn gather(&self) -> Gathering<M> {
        let frames = Frames::inline::<ROOM>(self.sink);
        let open = || Gather::new(self.engine, self.space(P), frames).unwrap();
        Gathering {
            gather: self.calls().then(open),
            unasked: Vec::new(),
        }
    }

    /// The end of the operation: the gather flushes, and frees.
    pub(crate) fn finish(&mut self, gathering: Gathering<M>) {
        let Gathering { gather, unasked } = gathering;
        self.complete(&[P], Needed::Change, |_| {
            gather.expect("opened by the library").finish().unwrap()
        });
        self.release_unasked(&unasked);
    }

    pub(crate) fn batch(&self) -> Batch<M> {
        let frames = Frames::inline::<ROOM>(self.sink);
        Batch {
            reclaim: Reclaim::holding(self.engine, frames),
            unasked: Vec::new(),
            calls: self.calls(),
        }
    }

    /// The pages are about to be written out: what is written to them must not be lost.
    pub(crate) fn flush_before_io(&mut self, owners: &[usize], batch: Batch<M>) {
        let Batch {
            mut reclaim,
            unasked,
            ..
        } = batch;
        self.complete(owners, Needed::Change, |_| {
            reclaim.flush_before_io().unwrap();
            assert!(reclaim.is_empty(), "one page was dirty");
        });
        self.release_unasked(&unasked);
    }

    fn release_unasked(&mut self, items: &[Item]) {
        if !self.calls() {
            items.iter().for_each(|item| self.sink.release(item));
            self.judge();
        }
    }

    /// The change is made and not flushed, nothing was issued and nothing freed: those who have an entry go on using it.
    pub(crate) fn is_put_off(&mut self, decision: &Decision, owner: usize, pages: &[Page]) {
        assert_ne!(decision.put_off(), PutOff::No);
        self.is_unflushed();
        for page in pages {
            self.is_still_used(owner, page);
        }
    }

    /// Nothing was issued, and nothing freed.
    pub(crate) fn is_unflushed(&mut self) {
        let issued = self.meter.take(&self.model);
        assert!(issued.is_quiet(), "{issued:?}");
        assert_eq!(self.sink.released(), self.freed);
    }

    /// CPU and device use the entry that they have; where chance has taken it from them, they fault.
    fn is_still_used(&mut self, owner: usize, page: &Page) {
        let by_cpu = self.model.cpu(self.other_cpu(owner)).read(page.va);
        let by_device = self.device_read(owner, page.va);
        let reads = by_device
            .into_iter()
            .chain([by_cpu.map_err(|fault| format!("{fault:?}"))]);
        for read in reads {
            if self.is_predictable() || read.is_ok() {
                assert_eq!(read, Ok(page.word), "{:?}", self.run);
            }
        }
    }

    /// These pages were dirty: their reverse mappings outlived the last entry through which they could be written.
    pub(crate) fn has_unlinked(&self, pages: &[Page]) {
        let frames: Vec<_> = pages.iter().map(|page| page.frame).collect();
        let unlinked = self.sink.unlinked.lock().unwrap();
        assert!(!self.calls() || *unlinked == frames, "{unlinked:x?}");
    }

    /// Whether others can see that something of the owner is put off.
    pub(crate) fn shows_pending(&self, owner: usize, pending: bool) {
        let shown = self.space(owner).is_flush_pending();
        assert!(!self.calls() || shown == pending);
    }

    /// These came free, each once, and nothing else.
    #[track_caller]
    pub(crate) fn has_freed(&mut self, pages: &[Page], tables: &[u64]) {
        let mut freed = self.sink.frames.lock().unwrap().clone();
        let mut expected: Vec<_> = pages.iter().map(|page| (page.frame, page.word)).collect();
        freed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(freed, expected, "{:?}", self.run);
        let mut freed = self.sink.tables.lock().unwrap().clone();
        let mut expected = tables.to_vec();
        freed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(freed, expected, "{:?}", self.run);
    }
}
