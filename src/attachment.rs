//! The places where secondary TLBs are attached, to one address space or to the engine as a whole.
//!
//! Everything here is lock-free and bounded. A slot's life is one word: generation, status, and the number of callers that
//! are inside a call to its secondary TLB right now. Counting is limited to those short calls; a caller that holds a fence
//! holds only the generation, and learns from it that the slot has been detached meanwhile.

use crate::secondary::{AttachKey, SecondaryTlb};
use crate::sync::{AtomicU32, AtomicU64, Ordering, UnsafeCell, array_of, const_unless_loom};

/// How many secondary TLBs one address space, or one engine, can have. One IOMMU takes one place, whatever the number of
/// devices behind it.
pub const MAX_SECONDARIES: usize = 8;

/// The life of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Status {
    /// Nobody is attached.
    Empty = 0,
    /// An attach is writing the slot.
    Claimed = 1,
    /// Attached: told of every flush.
    Live = 2,
    /// A detach is stopping the walk: still told of every flush, for the device may still fill its TLB.
    Stopping = 3,
    /// No device walks any more: told of nothing, but fences may still be polled.
    Draining = 4,
}

/// One word: generation in the upper half, status in bits 24..32, callers inside in the lower 24 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const CALLERS: u64 = (1 << 24) - 1;

    fn new(generation: u32, status: Status) -> Self {
        Self(u64::from(generation) << 32 | (status as u64) << 24)
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn callers(self) -> u64 {
        self.0 & Self::CALLERS
    }

    fn is(self, status: Status) -> bool {
        (self.0 >> 24) & 0xff == status as u64
    }

    fn with(self, status: Status) -> Self {
        Self(self.0 & !(0xff << 24) | (status as u64) << 24)
    }
}

/// What a slot holds while it is attached.
#[derive(Clone, Copy)]
pub(crate) struct Attached {
    pub(crate) tlb: &'static dyn SecondaryTlb,
    pub(crate) key: AttachKey,
}

/// For which purpose a caller enters a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To queue an invalidation.
    Queue,
    /// To poll a fence, or to stop the walk.
    Poll,
}

/// A place for one secondary TLB.
pub(crate) struct Slot {
    word: AtomicU64,
    attached: UnsafeCell<Option<Attached>>,
}

// SAFETY: `attached` is written only while the status is `Claimed`, which one thread holds, and read only by callers that are
// counted in the word, which keeps the status from going back to `Empty`.
unsafe impl Sync for Slot {}
// SAFETY: the cell holds shared references and plain data.
unsafe impl Send for Slot {}

impl Slot {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { word: AtomicU64::new(0), attached: UnsafeCell::new(None) }
        }
    }

    /// Fills an empty slot. The new generation, or nothing where the slot is taken.
    fn fill(&self, attached: Attached) -> Option<u32> {
        let word = Word(self.word.load(Ordering::Relaxed));
        if !word.is(Status::Empty) {
            return None;
        }
        let claimed = Word::new(word.generation(), Status::Claimed);
        self.exchange(word, claimed).ok()?;
        self.attached.with_mut(|cell| {
            // SAFETY: `Claimed` is held by this thread alone, and nobody enters a claimed slot.
            unsafe { *cell = Some(attached) }
        });
        self.word
            .store(claimed.with(Status::Live).0, Ordering::Release);
        Some(word.generation())
    }

    /// Enters the slot for a short call. Nothing where it is not attached, or no longer for this purpose.
    pub(crate) fn enter(&self, purpose: Purpose) -> Option<Inside<'_>> {
        let mut word = Word(self.word.load(Ordering::Acquire));
        loop {
            let open = word.is(Status::Live)
                || word.is(Status::Stopping)
                || (word.is(Status::Draining) && purpose == Purpose::Poll);
            if !open || word.callers() == Word::CALLERS {
                return None;
            }
            match self.exchange(word, Word(word.0 + 1)) {
                Ok(()) => break,
                Err(now) => word = now,
            }
        }
        self.attached.with(|cell| {
            // SAFETY: this caller is counted, so the cell is not written until `Inside` is dropped.
            let attached = unsafe { *cell };
            attached.map(|attached| Inside {
                slot: self,
                attached,
                generation: word.generation(),
            })
        })
    }

    /// Whether the slot still holds what it held in this generation.
    pub(crate) fn is_generation(&self, generation: u32) -> bool {
        Word(self.word.load(Ordering::Acquire)).generation() == generation
    }

    /// Moves an attached slot of this generation from one status to another, callers inside or not.
    pub(crate) fn advance(&self, generation: u32, from: Status, to: Status) -> bool {
        let mut word = Word(self.word.load(Ordering::Acquire));
        while word.generation() == generation && word.is(from) {
            match self.exchange(word, word.with(to)) {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Empties a draining slot once nobody is inside. Raises the generation, which completes every fence that is still held.
    pub(crate) fn empty(&self, generation: u32) -> bool {
        let drained = Word::new(generation, Status::Draining);
        let next = Word::new(generation.wrapping_add(1), Status::Empty);
        self.exchange(drained, next).is_ok()
    }

    fn exchange(&self, from: Word, to: Word) -> Result<(), Word> {
        self.word
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Word)
    }
}

/// A caller inside a slot: the secondary TLB stays attached until this is dropped.
pub(crate) struct Inside<'a> {
    slot: &'a Slot,
    attached: Attached,
    generation: u32,
}

impl Inside<'_> {
    pub(crate) fn tlb(&self) -> &'static dyn SecondaryTlb {
        self.attached.tlb
    }

    pub(crate) fn key(&self) -> AttachKey {
        self.attached.key
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.slot.word.fetch_sub(1, Ordering::Release);
    }
}

/// What a flush has to know of its secondary TLBs before it looks at any: one load tells whether there are any, and whether
/// one relies on the CPUs' broadcasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary(u32);

impl Summary {
    /// Above the bits of the slots: how many of them rely on broadcasts.
    const SNOOPER: u32 = 1 << MAX_SECONDARIES;

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn is_snooped(self) -> bool {
        self.0 >= Self::SNOOPER
    }
}

/// All the slots of one owner, and a word that says whether any is in use.
pub(crate) struct Slots {
    /// A [`Summary`]. Bit `n`: slot `n` may be attached. Zero is the fast path of an owner without secondary TLBs.
    summary: AtomicU32,
    slots: [Slot; MAX_SECONDARIES],
}

impl Slots {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { summary: AtomicU32::new(0), slots: array_of!(MAX_SECONDARIES, Slot::new()) }
        }
    }

    /// Attaches in a free slot: its index and generation.
    pub(crate) fn attach(&self, attached: Attached) -> Option<(usize, u32)> {
        self.slots.iter().enumerate().find_map(|(index, slot)| {
            let generation = slot.fill(attached)?;
            self.summary.fetch_or(1 << index, Ordering::SeqCst);
            Some((index, generation))
        })
    }

    /// Frees a drained slot, if nobody is inside. Called only by the one detach that drained it.
    pub(crate) fn free(&self, index: usize, generation: u32) -> bool {
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        // The bit goes first: raised again by an attach that takes the slot as soon as it is empty.
        self.summary.fetch_and(!(1 << index), Ordering::SeqCst);
        let freed = slot.empty(generation);
        if !freed && slot.is_generation(generation) {
            self.summary.fetch_or(1 << index, Ordering::SeqCst);
        }
        freed
    }

    /// One more, or one less, relies on broadcasts.
    pub(crate) fn add_snooper(&self) {
        self.summary.fetch_add(Summary::SNOOPER, Ordering::SeqCst);
    }

    pub(crate) fn remove_snooper(&self) {
        self.summary.fetch_sub(Summary::SNOOPER, Ordering::SeqCst);
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary(self.summary.load(Ordering::SeqCst))
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate()
    }
}
