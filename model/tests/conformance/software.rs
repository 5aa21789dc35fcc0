//! A secondary TLB of software with a device behind it, and one defect.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::task::Poll;
use std::thread::{self, ThreadId};
use std::time::Duration;
use tlb_shootdown::address::{FlushRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{
    AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb,
};
use tlb_shootdown_model::conformance::{Agent, Entry, Frame, PAGES, Surroundings, Window};

pub(crate) const KEY: AttachKey = AttachKey(7);
const BASE: u64 = 0x40_0000;

/// Invalidations that may be under way.
const ROOM: usize = 16;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    NeedsChange,
    /// A doorbell for each invalidation.
    QueueRings,
    /// Half a request is queued where there is no room for all of it.
    FullQueues,
    /// What has completed is never taken out of the queue.
    KeepsRoom,
    RingsTwice,
    /// A wait of its own for every seal.
    EmptySealSubmits,
    EmptySealIsNew,
    SequenceReused,
    /// Nothing ever completes.
    Stalls,
    Fails,
    /// A fence is forgotten once it was reported.
    Forgets,
    /// Requests to release are put off for ever.
    NeverReleases,
    /// The device sees no entries but the first.
    Unprepared,
    /// Entries of pages that were unmapped stay what they were.
    IgnoresUnmaps,
    /// Rights that were widened stay what they were.
    IgnoresUpgrades,
    /// Rights that were taken stay what they were.
    IgnoresNarrowing,
    /// Walks at once where it was invalidated, and keeps that there is nothing.
    KeepsNothing,
    /// The same of one whose upgrades are broken up.
    KeepsNothingOfUpgrades,
    /// Is told at once of what a batch holds, and takes a page behind the one before for told already.
    SkipsNeighbours,
    /// A seal closes what its own thread has queued, and forgets what others have.
    LosesOthers,
    /// A fence covers what was sealed last alone.
    Overtakes,
    /// A released space is walked again.
    WalksReleased,
}

#[derive(Debug, Default)]
struct State {
    table: [Option<Entry>; PAGES],
    cache: [Option<Entry>; PAGES],
    /// Not sealed, and who has queued it.
    queued: Vec<(ThreadId, Option<Flush>)>,
    submitted: VecDeque<(u64, Vec<Option<Flush>>)>,
    last: u64,
    done: u64,
    reported: u64,
    released: bool,
    asked: u32,
    kept: usize,
    /// The page of the last invalidation, where that was of one.
    last_page: Option<usize>,
    /// Several threads work, and the first that queues waits for another one.
    meeting: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Software {
    state: Mutex<State>,
    met: Condvar,
    defect: Defect,
}

/// Longer than any thread is kept waiting, however loaded the host is.
const LONG: Duration = Duration::from_secs(20);

impl Software {
    pub(crate) fn new(defect: Defect) -> Self {
        Self {
            state: Mutex::default(),
            met: Condvar::new(),
            defect,
        }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock().unwrap())
    }

    /// `None`: everything of the space.
    fn enqueue(&self, flush: Option<Flush>, cost: &mut Cost) -> Result<(), Full> {
        self.with(|state| {
            let under_way: usize = state.submitted.iter().map(|(_, all)| all.len()).sum();
            if state.queued.len() + under_way + state.kept >= ROOM {
                cost.commands += u32::from(self.is(Defect::FullQueues));
                return Err(Full);
            }
            cost.commands += 1;
            cost.doorbells += u32::from(self.is(Defect::QueueRings));
            state.queued.push((thread::current().id(), flush));
            Ok(())
        })?;
        self.meet();
        Ok(())
    }

    /// Lets several threads work at the same time. With a defect that shows only between two, two of them are sure to have queued before
    /// either seals.
    pub(crate) fn together(&self, work: impl FnOnce()) {
        let meets = self.is(Defect::LosesOthers);
        self.with(|state| state.meeting = meets.then_some(0));
        work();
        self.with(|state| state.meeting = None);
    }

    fn meet(&self) {
        let mut state = self.state.lock().unwrap();
        let Some(queued) = &mut state.meeting else {
            return;
        };
        *queued += 1;
        if *queued > 1 {
            self.met.notify_all();
            return;
        }
        let alone = |state: &mut State| state.meeting == Some(1);
        let waited = self.met.wait_timeout_while(state, LONG, alone);
        assert!(!waited.unwrap().1.timed_out(), "nobody else has queued");
    }

    /// What the calling thread's seal closes.
    fn close(&self, state: &mut State) -> Vec<Option<Flush>> {
        let me = thread::current().id();
        let queued = std::mem::take(&mut state.queued).into_iter();
        let mine = queued.filter(|(who, _)| *who == me || !self.is(Defect::LosesOthers));
        mine.map(|(_, flush)| flush).collect()
    }

    /// The hardware carries out one submission.
    fn work(&self, state: &mut State) {
        let next = match self.defect {
            Defect::Stalls => None,
            Defect::Overtakes => state.submitted.pop_back(),
            _ => state.submitted.pop_front(),
        };
        let Some((sequence, flushes)) = next else {
            return;
        };
        if self.is(Defect::KeepsRoom) {
            state.kept += flushes.len();
        }
        for flush in flushes {
            self.invalidate(state, flush);
        }
        state.done = state.done.max(sequence);
    }

    /// Whether the page lies behind the one that was invalidated last.
    fn is_neighbour(state: &mut State, flush: Option<Flush>) -> bool {
        let page = match flush.as_ref().map(Flush::range) {
            Some(FlushRange::Pages(pages)) if pages.first() == pages.last() => {
                (0..PAGES).find(|&page| pages.contains(address(page)))
            }
            _ => None,
        };
        let before = std::mem::replace(&mut state.last_page, page);
        page.is_some() && before.map(|before| before + 1) == page
    }

    fn invalidate(&self, state: &mut State, flush: Option<Flush>) {
        if Self::is_neighbour(state, flush) && self.is(Defect::SkipsNeighbours) {
            return;
        }
        for page in 0..PAGES {
            let covered = flush.is_none_or(|flush| match flush.range() {
                FlushRange::All => true,
                FlushRange::Pages(pages) => pages.contains(address(page)),
            });
            let (held, now) = (state.cache[page], state.table[page]);
            let widened = matches!(
                (held, now),
                (Some(Entry::ReadOnly(_)), Some(Entry::ReadWrite(_)))
            );
            let narrowed = matches!(
                (held, now),
                (Some(Entry::ReadWrite(_)), Some(Entry::ReadOnly(_)))
            );
            let ignored = widened && self.is(Defect::IgnoresUpgrades)
                || narrowed && self.is(Defect::IgnoresNarrowing)
                || now.is_none() && self.is(Defect::IgnoresUnmaps);
            if covered && !ignored {
                let keeps =
                    self.is(Defect::KeepsNothing) || self.is(Defect::KeepsNothingOfUpgrades);
                state.cache[page] = keeps.then(|| now.unwrap_or(Entry::Nothing));
            }
        }
    }

    fn translate(&self, page: usize) -> Entry {
        self.with(|state| {
            if let Some(held) = state.cache[page] {
                return held;
            }
            if state.released && !self.is(Defect::WalksReleased) {
                return Entry::Nothing;
            }
            let unseen = self.is(Defect::Unprepared) && page > 0;
            let entry = state.table[page].filter(|_| !unseen);
            state.cache[page] = entry;
            entry.unwrap_or(Entry::Nothing)
        })
    }
}

fn address(page: usize) -> VirtAddr {
    VirtAddr::new(BASE + page as u64 * PageSize::KIB_4.bytes())
}

// SAFETY: nothing but tests relies on it, and most of them on its defects.
unsafe impl SecondaryTlb for Software {
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        match invalidation {
            Invalidation::Space { key, flush } if *key == KEY => self.enqueue(Some(*flush), cost),
            _ => Ok(()),
        }
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        self.with(|state| {
            let queued = self.close(state);
            if queued.is_empty() {
                cost.syncs += u32::from(self.is(Defect::EmptySealSubmits));
                state.last += u64::from(self.is(Defect::EmptySealIsNew));
                state.done += u64::from(self.is(Defect::EmptySealIsNew));
                return Fence::new(state.last);
            }
            if !(self.is(Defect::SequenceReused) && state.last > 2) {
                state.last += 1;
            }
            cost.syncs += 1;
            cost.doorbells += if self.is(Defect::RingsTwice) { 2 } else { 1 };
            state.submitted.push_back((state.last, queued));
            Fence::new(state.last)
        })
    }

    fn poll(&self, fence: &mut Fence, _cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        let sequence = fence.sequence;
        self.with(|state| {
            if self.is(Defect::Fails) && sequence > 3 {
                return Poll::Ready(Err(SecondaryError::QueueStopped));
            }
            if self.is(Defect::Forgets) && sequence > 0 && state.reported == sequence {
                return Poll::Pending;
            }
            if state.done < sequence || self.is(Defect::SequenceReused) {
                self.work(state);
            }
            if state.done < sequence {
                return Poll::Pending;
            }
            state.reported = sequence;
            Poll::Ready(Ok(()))
        })
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        if self.is(Defect::NeverReleases) {
            return Err(Full);
        }
        if key == KEY {
            self.with(|state| state.released = true);
            return self.enqueue(None, cost);
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        let asked = self.with(|state| {
            state.asked += 1;
            state.asked
        });
        if self.is(Defect::NeedsChange) && asked > 40 {
            return Needs::empty();
        }
        match self.defect {
            Defect::KeepsNothingOfUpgrades => Needs::UPGRADES | Needs::BREAKS_UPGRADES,
            Defect::SkipsNeighbours => Needs::UPGRADES | Needs::AT_ADD,
            _ => Needs::UPGRADES,
        }
    }
}

impl Agent for Software {
    fn read(&self, page: usize) -> Option<u64> {
        match self.translate(page) {
            Entry::Nothing => None,
            Entry::ReadOnly(frame) | Entry::ReadWrite(frame) => Some(Frame::word(frame)),
        }
    }

    fn write(&self, page: usize) -> bool {
        matches!(self.translate(page), Entry::ReadWrite(_))
    }
}

impl Window for Software {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        address(page)
    }

    fn store(&self, page: usize, entry: Entry) {
        self.with(|state| state.table[page] = Some(entry).filter(|&entry| entry != Entry::Nothing));
    }
}

impl Surroundings for Software {
    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        self.together(|| {
            thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(work))));
        });
        true
    }

    fn device(&self) -> Option<&dyn Window> {
        Some(self)
    }
}
