//! The allocator: generations, and one local flush per CPU where they change.
//!
//! When the ASIDs run out, a new generation begins. What CPUs run at that moment stays reserved for them; every other address
//! space gets a new ASID when it next runs; and every CPU drops all its entries before it runs anything of the new
//! generation. Nothing is broadcast.

use super::per_cpu::{Line, PerCpu};
use super::{AsidSlot, Tagged};
use crate::arch::IdError;
use crate::arch::bitmap::Bitmap;
use crate::cpu_set::{AtomicCpuSet, CpuId};
use crate::defects::Defect;
use crate::sync::{AtomicU32, AtomicU64, Ordering, const_unless_loom, spin_loop};
use crate::ticket_lock::ModelledLock;

/// Enough for 16-bit ASIDs; loom follows each atomic, and 8 bits show it all there is to see.
const BITMAP_WORDS: usize = if cfg!(loom) { 4 } else { 1024 };

/// Which ASIDs there are. The allocator counts in numbers: an ASID each, or an even and an odd one under KPTI. Number 0 is
/// never given: its ASID stands in the registers while no process runs.
#[derive(Clone, Copy, Debug)]
pub(in crate::arch::aarch64) struct Numbers {
    pub(in crate::arch::aarch64) asid_bits: u32,
    pub(in crate::arch::aarch64) pairs: bool,
}

impl Numbers {
    const FIRST: u64 = 1;

    const fn end(self) -> u64 {
        1 << (self.asid_bits - self.pairs as u32)
    }

    const fn of(self, tagged: Tagged) -> u64 {
        tagged.asid() >> self.pairs as u32
    }

    const fn asid(self, number: u64) -> u64 {
        number << self.pairs as u32
    }
}

#[derive(Debug)]
pub(in crate::arch::aarch64) struct Allocator<const WORDS: usize> {
    lock: ModelledLock,
    generation: AtomicU64,
    cpus: PerCpu<WORDS>,
    /// CPUs that hold entries of an earlier generation.
    stale: AtomicCpuSet<WORDS>,
    /// Taken in this generation.
    used: Bitmap<BITMAP_WORDS>,
    /// Taken in every generation, because devices share them.
    pinned: Bitmap<BITMAP_WORDS>,
    pinned_count: AtomicU32,
    /// Where to look for a free number first.
    cursor: AtomicU64,
}

impl<const WORDS: usize> Allocator<WORDS> {
    const_unless_loom! {
        pub(in crate::arch::aarch64) const fn new() -> Self {
            Self {
                lock: ModelledLock::new(),
                generation: AtomicU64::new(Tagged::GENERATION),
                cpus: PerCpu::new(),
                stale: AtomicCpuSet::new(),
                used: Bitmap::new(),
                pinned: Bitmap::new(),
                pinned_count: AtomicU32::new(0),
                cursor: AtomicU64::new(Numbers::FIRST),
            }
        }
    }

    /// See [`Arch::activate`](crate::arch::Arch::activate); `flush` drops everything that this CPU holds.
    pub(in crate::arch::aarch64) fn activate(
        &self,
        cpu: CpuId,
        slot: &AsidSlot,
        numbers: Numbers,
        fresh: &mut dyn FnMut(),
        flush: &mut dyn FnMut(),
    ) -> Result<Tagged, IdError> {
        let line = self.cpus.get(cpu).ok_or(IdError::UnknownCpu)?;
        let tagged = slot.load(Ordering::Acquire);
        if self.is_current(tagged) && line.switch(tagged) {
            return Ok(tagged);
        }
        self.lock.with(spin_loop, || {
            let tagged = self.current(slot, numbers, fresh)?;
            self.catch_up(cpu, line, tagged, flush);
            Ok(tagged)
        })
    }

    fn catch_up(&self, cpu: CpuId, line: &Line, tagged: Tagged, flush: &mut dyn FnMut()) {
        let is_stale = self.stale.remove(cpu, Ordering::Relaxed);
        if is_stale && !Defect::RolloverWithoutFlush.is_put_back() {
            flush();
        }
        line.install(tagged);
    }

    /// Gives the address space an ASID that stays its own until it is unpinned as often.
    pub(in crate::arch::aarch64) fn pin(
        &self,
        slot: &AsidSlot,
        numbers: Numbers,
    ) -> Result<Tagged, IdError> {
        self.lock.with(spin_loop, || {
            let pins = slot.pins.load(Ordering::Relaxed);
            let more = pins.checked_add(1).ok_or(IdError::Exhausted)?;
            if pins == 0 && !self.may_pin(numbers) {
                return Err(IdError::Exhausted);
            }
            let tagged = self.current(slot, numbers, &mut || ())?;
            if pins == 0 {
                self.pinned.set(numbers.of(tagged));
                self.pinned_count.fetch_add(1, Ordering::Relaxed);
            }
            slot.pins.store(more, Ordering::Relaxed);
            Ok(tagged)
        })
    }

    /// Takes one pin back; false where there was none.
    pub(in crate::arch::aarch64) fn unpin(&self, slot: &AsidSlot, numbers: Numbers) -> bool {
        self.lock.with(spin_loop, || {
            let Some(fewer) = slot.pins.load(Ordering::Relaxed).checked_sub(1) else {
                return false;
            };
            slot.pins.store(fewer, Ordering::Relaxed);
            if fewer == 0 {
                self.pinned.clear(numbers.of(slot.load(Ordering::Relaxed)));
                self.pinned_count.fetch_sub(1, Ordering::Relaxed);
            }
            true
        })
    }

    /// Frees the ASID at once. One that devices still share stays taken: the rollover after its last unpin finds it.
    pub(in crate::arch::aarch64) fn retire(&self, slot: &AsidSlot, numbers: Numbers) {
        self.lock.with(spin_loop, || {
            let tagged = slot.load(Ordering::Relaxed);
            if slot.is_pinned() {
                return;
            }
            if self.is_current(tagged) {
                self.used.clear(numbers.of(tagged));
            }
            slot.publish(Tagged::NONE);
        });
    }

    fn is_current(&self, tagged: Tagged) -> bool {
        tagged.is_of(self.generation.load(Ordering::Relaxed))
    }

    /// Every CPU must be able to run something that is not pinned, beside what is reserved for it.
    fn may_pin(&self, numbers: Numbers) -> bool {
        let kept_free = WORDS as u64 * 64 + 2;
        let quota = numbers.end().saturating_sub(kept_free);
        u64::from(self.pinned_count.load(Ordering::Relaxed)) < quota
    }

    /// The slot's ASID of this generation.
    fn current(
        &self,
        slot: &AsidSlot,
        numbers: Numbers,
        fresh: &mut dyn FnMut(),
    ) -> Result<Tagged, IdError> {
        let old = slot.load(Ordering::Relaxed);
        if self.is_current(old) {
            return Ok(old);
        }
        if let Some(kept) = self.keep(slot, old) {
            slot.publish(kept);
            return Ok(kept);
        }
        let new = self.claim(old, numbers)?;
        fresh();
        slot.publish(new);
        Ok(new)
    }

    /// An ASID that some CPU runs, or that devices share, stays the same: its entries are in use.
    fn keep(&self, slot: &AsidSlot, old: Tagged) -> Option<Tagged> {
        if old == Tagged::NONE {
            return None;
        }
        let kept = Tagged::new(self.generation.load(Ordering::Relaxed), old.asid());
        let reserved = self.cpus.renew(old, kept);
        (reserved || slot.is_pinned()).then_some(kept)
    }

    /// An ASID that nobody uses: the slot's former one if it can be had, else the next free one, else the first of a new generation.
    fn claim(&self, old: Tagged, numbers: Numbers) -> Result<Tagged, IdError> {
        let former = numbers.of(old);
        if old != Tagged::NONE && self.used.set(former) {
            return Ok(self.tag(former, numbers));
        }
        let number = self.free(numbers).or_else(|| {
            self.roll_over(numbers);
            self.free(numbers)
        });
        let number = number.ok_or(IdError::Exhausted)?;
        self.used.set(number);
        self.cursor.store(number + 1, Ordering::Relaxed);
        Ok(self.tag(number, numbers))
    }

    fn free(&self, numbers: Numbers) -> Option<u64> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        self.used
            .first_clear(cursor, numbers.end())
            .or_else(|| self.used.first_clear(Numbers::FIRST, numbers.end()))
    }

    fn tag(&self, number: u64, numbers: Numbers) -> Tagged {
        Tagged::new(
            self.generation.load(Ordering::Relaxed),
            numbers.asid(number),
        )
    }

    /// Begins a generation in which only pinned and reserved ASIDs are taken.
    fn roll_over(&self, numbers: Numbers) {
        self.generation
            .fetch_add(Tagged::GENERATION, Ordering::Relaxed);
        self.used.copy_from(&self.pinned);
        for (cpu, line) in self.cpus.iter() {
            let reserved = line.reserve();
            if reserved != Tagged::NONE {
                self.used.set(numbers.of(reserved));
            }
            self.stale.insert(cpu, Ordering::Relaxed);
        }
        self.cursor.store(Numbers::FIRST, Ordering::Relaxed);
    }
}
