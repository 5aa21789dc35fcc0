//! Shootdown requests between CPUs that have no broadcast instruction.
//!
//! Every CPU owns one request slot, which it alone writes, and one row of acknowledgement words, which it alone writes as a
//! target. There is no lock and no queue: nothing can be full, so nothing can be dropped, and several initiators run at
//! once without waiting for each other.
//!
//! * A request is published under a generation; the acknowledgement carries that generation, so that a late or doubled
//!   interrupt credits nobody wrongly.
//! * A slot with acknowledgements outstanding is never overwritten, only widened ([`Request::merge`]): page < range <
//!   space < everything. Whoever reads it late flushes more, never less.
//! * A reader that catches the owner in the middle of writing flushes everything instead of waiting: the handler is bounded.
//!
//! Acknowledgements are 32 bits wide, so that those of 256 CPUs fit in 256 KiB. They are compared by signed difference, which
//! holds as long as word and generation are less than 2^31 apart: the initiator moves an idle target's word up to its own
//! generation before it asks, keeps that of a silent one within [`FARTHEST`], and a request older than half of that counts as
//! answered only where all of them are. What remains is an interrupt handler that sleeps between its flush and its
//! acknowledgement while another CPU makes 2^30 requests.

mod request;
mod slot;

pub(crate) use request::Request;

use crate::cpu_set::{AtomicCpuSet, CpuId, CpuSet};
use crate::defects::Defect;
use crate::sync::{AtomicU32, CPUS_PER_WORD, Ordering, array_of, const_unless_loom};
use slot::RequestSlot;

/// How far a silent target's word may fall behind before it is moved up.
const FARTHEST: u32 = 1 << 30;

/// Acknowledgements by one target, one word for each initiator.
#[repr(align(64))]
struct AckRow<const WORDS: usize>([[AtomicU32; CPUS_PER_WORD]; WORDS]);

impl<const WORDS: usize> AckRow<WORDS> {
    const_unless_loom! {
        const fn new() -> Self {
            Self(array_of!(WORDS, array_of!(CPUS_PER_WORD, AtomicU32::new(0))))
        }
    }

    fn of(&self, initiator: CpuId) -> Option<&AtomicU32> {
        self.0.as_flattened().get(initiator.index())
    }
}

/// Lines apart: a sender that sets its bit does not take away the line from which targets read the owner's request.
#[repr(align(128))]
struct WrittenByAll<T>(T);

/// What one CPU owns, as initiator and as target.
#[repr(align(128))]
struct PerCpu<const WORDS: usize> {
    request: RequestSlot,
    /// Targets whose acknowledgement of the slot's generation is outstanding. Written by the owner.
    open: AtomicCpuSet<WORDS>,
    /// Initiators whose request this CPU has not taken yet.
    pending: WrittenByAll<AtomicCpuSet<WORDS>>,
    acks: AckRow<WORDS>,
}

impl<const WORDS: usize> PerCpu<WORDS> {
    const_unless_loom! {
        const fn new() -> Self {
            Self {
                request: RequestSlot::new(),
                open: AtomicCpuSet::new(),
                pending: WrittenByAll(AtomicCpuSet::new()),
                acks: AckRow::new(),
            }
        }
    }
}

/// A published request: whose slot, and which generation of it has to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) initiator: CpuId,
    pub(crate) generation: u64,
    /// A CPU that has flushed everything has answered it.
    pub(crate) by_flush: bool,
}

/// The request slots and acknowledgement rows of all CPUs.
pub(crate) struct Mailboxes<const WORDS: usize> {
    cpus: [[PerCpu<WORDS>; CPUS_PER_WORD]; WORDS],
}

impl<const WORDS: usize> Mailboxes<WORDS> {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { cpus: array_of!(WORDS, array_of!(CPUS_PER_WORD, PerCpu::new())) }
        }
    }

    /// Publishes a request to these targets, as CPU `me`, with interrupts off. Returns what to wait for, and whom to interrupt: the
    /// targets, and those that still owe an answer to an earlier request, which this one has widened. CPUs that are not
    /// `present` owe nothing: they flushed everything when they left.
    pub(crate) fn post(
        &self,
        me: CpuId,
        targets: &CpuSet<WORDS>,
        present: &CpuSet<WORDS>,
        request: &Request,
    ) -> Option<(Posted, CpuSet<WORDS>)> {
        let by_flush = request.is_flush();
        let mine = self.cpu(me)?;
        let owed = self.still_open(me, mine).intersection(present);
        let request = if owed.is_empty() {
            mine.request.settle();
            *request
        } else if Defect::OpenRequestOverwritten.is_put_back() {
            *request
        } else {
            mine.request.own().merge(request)
        };
        let generation = mine.request.generation() + 1;
        for target in targets.difference(&owed).iter() {
            // Up to the generation before: an old word could otherwise look new after 2^31 requests.
            self.ack(target, me)?
                .store((generation - 1) as u32, Ordering::Relaxed);
        }
        for target in owed.iter() {
            keep_near(self.ack(target, me)?, generation as u32);
        }
        let open = owed.union(targets);
        mine.open.store(&open, Ordering::Relaxed);
        mine.request.publish(&request, generation);
        for target in open.iter() {
            // Release: whoever takes the bit reads at least this generation.
            self.cpu(target)?.pending.0.insert(me, Ordering::AcqRel);
        }
        Some((
            Posted {
                initiator: me,
                generation,
                by_flush,
            },
            open,
        ))
    }

    /// Marks the requests as untaken again, for targets that have not answered.
    pub(crate) fn repeat(&self, posted: Posted, targets: &CpuSet<WORDS>) {
        for target in targets.iter() {
            if let Some(cpu) = self.cpu(target) {
                cpu.pending.0.insert(posted.initiator, Ordering::AcqRel);
            }
        }
    }

    /// Takes every request that is pending for CPU `me`, with interrupts off: `apply` flushes, completely, and only then is the
    /// request acknowledged.
    pub(crate) fn serve(&self, me: CpuId, mut apply: impl FnMut(&Request)) {
        let Some(mine) = self.cpu(me) else { return };
        for initiator in mine.pending.0.take(Ordering::AcqRel).iter() {
            let Some(from) = self.cpu(initiator) else {
                continue;
            };
            // The generation before the request: a request read later covers at least what this generation asked for.
            let mut generation = from.request.generation();
            let acknowledge = |generation: u64| {
                if let Some(ack) = mine.acks.of(initiator) {
                    ack.store(generation as u32, Ordering::Release);
                }
            };
            if Defect::AckBeforeFlush.is_put_back() {
                acknowledge(generation);
            }
            apply(&from.request.read().unwrap_or(Request::Everything));
            if Defect::AckOfWhateverIsNewest.is_put_back() {
                generation = from.request.generation();
            }
            acknowledge(generation);
        }
    }

    /// Whether a request is pending for this CPU.
    pub(crate) fn is_pending(&self, me: CpuId) -> bool {
        self.cpu(me)
            .is_some_and(|mine| !mine.pending.0.load(Ordering::Relaxed).is_empty())
    }

    /// Whether the target has acknowledged the request.
    pub(crate) fn has_acked(&self, posted: Posted, target: CpuId) -> bool {
        let Some(initiator) = self.cpu(posted.initiator) else {
            return false;
        };
        if initiator.request.settled() >= posted.generation {
            return true;
        }
        let Some(ack) = self.ack(target, posted.initiator) else {
            return false;
        };
        let word = ack.load(Ordering::Acquire);
        // After the word: whoever reads a word that was moved up also reads a generation that far ahead.
        let age = initiator
            .request
            .generation()
            .saturating_sub(posted.generation);
        age < u64::from(FARTHEST / 2) && word.wrapping_sub(posted.generation as u32) as i32 >= 0
    }

    /// The targets of CPU `me` that have not acknowledged the generation its slot holds.
    fn still_open(&self, me: CpuId, mine: &PerCpu<WORDS>) -> CpuSet<WORDS> {
        let posted = Posted {
            initiator: me,
            generation: mine.request.generation(),
            by_flush: false,
        };
        let mut open = mine.open.load(Ordering::Relaxed);
        open.retain(|target| !self.has_acked(posted, target));
        open
    }

    fn ack(&self, target: CpuId, initiator: CpuId) -> Option<&AtomicU32> {
        self.cpu(target)?.acks.of(initiator)
    }

    fn cpu(&self, cpu: CpuId) -> Option<&PerCpu<WORDS>> {
        self.cpus.as_flattened().get(cpu.index())
    }
}

/// Moves the word of a target that owes an answer to within [`FARTHEST`] of the generation, unless it answers meanwhile.
fn keep_near(ack: &AtomicU32, generation: u32) {
    let word = ack.load(Ordering::Relaxed);
    if generation.wrapping_sub(word) > FARTHEST {
        let near = generation.wrapping_sub(FARTHEST);
        // Release: see `has_acked`. A failure is the target's own, newer word.
        let _ = ack.compare_exchange(word, near, Ordering::Release, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
