//! The secondary TLBs' part of a batch: everything is queued for all spaces, then each secondary TLB is sealed once.

use super::reclaim::Record;
use crate::arch::Arch;
use crate::attachment::MAX_SECONDARIES;
use crate::cost::Cost;
use crate::platform::Platform;
use crate::secondary::{Fence, Needs, SecondaryError, SecondaryTlb};
use crate::shootdown::Shootdown;
use crate::ticket::{Queued, Task, Waits};
use core::ptr;

/// What is awaited, for each place of the batch.
pub(super) struct Devices<const PLACES: usize>([Option<Waits>; PLACES]);

/// Those that were told when the change was put into the batch are not told again, unless one of them has not answered then.
fn are_told(needs: Needs, is_untold: bool) -> bool {
    is_untold || !needs.contains(Needs::AT_ADD)
}

impl<const PLACES: usize> Devices<PLACES> {
    /// Nobody has been told yet.
    pub(super) fn new<A: Arch, const WORDS: usize>(
        records: &[Option<Record<'_, A, WORDS>>; PLACES],
    ) -> Self {
        Self(records.each_ref().map(|record| {
            let record = record.as_ref()?;
            let is_alone = record.space.secondaries.summary().is_empty();
            (!is_alone).then(|| Waits::new(Task::Flush(record.flush)))
        }))
    }

    /// Tells all that do not snoop the CPUs' broadcasts.
    pub(super) fn start<P: Platform, const WORDS: usize>(
        &mut self,
        engine: &Shootdown<P, WORDS>,
        records: &[Option<Record<'_, P::Arch, WORDS>>; PLACES],
        cost: &mut Cost,
    ) {
        if self.0.iter().all(Option::is_none) {
            return;
        }
        engine.in_callback(|| {
            for (waits, record) in self.0.iter_mut().zip(records) {
                if let (Some(waits), Some(record)) = (waits, record) {
                    let wanted = |needs| are_told(needs, record.is_untold);
                    waits.enlist(&record.space.secondaries, wanted);
                }
            }
            self.submit(
                records,
                |needs| !needs.contains(Needs::SNOOPS_BROADCASTS),
                cost,
            );
        });
    }

    /// Tells those that do: their device TLBs come after the CPUs' completion.
    pub(super) fn start_snoopers<P: Platform, const WORDS: usize>(
        &mut self,
        engine: &Shootdown<P, WORDS>,
        records: &[Option<Record<'_, P::Arch, WORDS>>; PLACES],
        cost: &mut Cost,
    ) {
        let mut all = records.iter().flatten();
        if all.any(|record| record.space.secondaries.summary().is_snooped()) {
            let snoops = |needs: Needs| needs.contains(Needs::SNOOPS_BROADCASTS);
            engine.in_callback(|| self.submit(records, snoops, cost));
        }
    }

    /// Inside all of them from the first command to the last doorbell, so that no detach ends in between.
    fn submit<A: Arch, const WORDS: usize>(
        &mut self,
        records: &[Option<Record<'_, A, WORDS>>; PLACES],
        which: impl Fn(Needs) -> bool + Copy,
        cost: &mut Cost,
    ) {
        let mut queued: [Queued<'_>; PLACES] = [const { NOTHING }; PLACES];
        for ((waits, record), queued) in self.0.iter_mut().zip(records).zip(&mut queued) {
            if let (Some(waits), Some(record)) = (waits, record) {
                *queued = waits.queue(&record.space.secondaries, which, cost);
            }
        }
        let mut fences = [[None; MAX_SECONDARIES]; PLACES];
        for place in 0..PLACES {
            for index in 0..MAX_SECONDARIES {
                let Some(inside) = &queued[place][index] else {
                    continue;
                };
                let shared = fence_of(inside.tlb(), &queued, &fences);
                let fence = shared.unwrap_or_else(|| inside.tlb().seal(cost));
                fences[place][index] = Some(fence);
                if let Some(waits) = &mut self.0[place] {
                    waits.seal(index, inside, fence);
                }
            }
        }
    }

    /// One look at each of them.
    pub(super) fn poll<P: Platform, const WORDS: usize>(
        &mut self,
        engine: &Shootdown<P, WORDS>,
        records: &[Option<Record<'_, P::Arch, WORDS>>; PLACES],
        cost: &mut Cost,
    ) {
        for (waits, record) in self.0.iter_mut().zip(records) {
            if let (Some(waits), Some(record)) = (waits, record)
                && waits.is_pending()
            {
                engine.in_callback(|| waits.poll(&record.space.secondaries, cost));
            }
        }
    }

    /// Those that have failed or not answered are asked for everything they have of the spaces, once more.
    pub(super) fn widen(&mut self, cost: &mut Cost) {
        for waits in self.0.iter_mut().flatten() {
            waits.widen(cost);
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.0.iter().flatten().any(Waits::is_pending)
    }

    /// Bit `n`: of some space, the secondary TLB in place `n` has not completed.
    pub(super) fn unfinished(&self) -> u32 {
        let all = self.0.iter().flatten().map(Waits::unfinished);
        all.fold(0, |bits, more| bits | more)
    }

    pub(super) fn error(&self) -> Option<SecondaryError> {
        self.0.iter().flatten().find_map(Waits::error)
    }
}

const NOTHING: Queued<'static> = [const { None }; MAX_SECONDARIES];

/// The fence that this secondary TLB has given already, for whichever space.
fn fence_of<const PLACES: usize>(
    tlb: &'static dyn SecondaryTlb,
    queued: &[Queued<'_>; PLACES],
    fences: &[[Option<Fence>; MAX_SECONDARIES]; PLACES],
) -> Option<Fence> {
    let all = queued.as_flattened().iter().zip(fences.as_flattened());
    let mut same = all.filter(|(inside, _)| {
        let other = inside.as_ref().map(|inside| inside.tlb());
        other.is_some_and(|other| ptr::addr_eq(other, tlb))
    });
    same.find_map(|(_, fence)| *fence)
}
