//! A secondary TLB of software with a device behind it, and one defect.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::Poll;
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
    /// A fence covers what was sealed last alone.
    Overtakes,
    /// A released space is walked again.
    WalksReleased,
}

#[derive(Debug, Default)]
struct State {
    table: [Option<Entry>; PAGES],
    cache: [Option<Entry>; PAGES],
    /// Not sealed.
    queued: Vec<Option<Flush>>,
    submitted: VecDeque<(u64, Vec<Option<Flush>>)>,
    last: u64,
    done: u64,
    reported: u64,
    released: bool,
    asked: u32,
    kept: usize,
}

#[derive(Debug)]
pub(crate) struct Software {
    state: Mutex<State>,
    defect: Defect,
}

impl Software {
    pub(crate) fn new(defect: Defect) -> Self {
        Self {
            state: Mutex::default(),
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
            state.queued.push(flush);
            Ok(())
        })
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

    fn invalidate(&self, state: &mut State, flush: Option<Flush>) {
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
            let ignored = widened && self.is(Defect::IgnoresUpgrades)
                || now.is_none() && self.is(Defect::IgnoresUnmaps);
            if covered && !ignored {
                state.cache[page] = None;
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
            let queued = std::mem::take(&mut state.queued);
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
        Needs::UPGRADES
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
        std::thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(work)));
        });
        true
    }

    fn device(&self) -> Option<&dyn Window> {
        Some(self)
    }
}
