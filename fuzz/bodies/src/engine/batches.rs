//! Gathers and batches that stay open from one operation to the next.

use super::kernel::{Kernel, Life, PAGES, address};
use super::mapping::flush_of;
use super::platform::Ground;
use super::sink::Sink;
use crate::input::Input;
use std::task::Poll;
use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::batch::{AddError, Flushing, Gather, GatherError, Reclaim};
use tlb_shootdown::ticket::{Frames, Held, InProgress, Item};

/// What one of them holds before it flushes early.
const PLACES: usize = 3;

pub(super) type Batch<'m> = Reclaim<'m, Ground, 1, 2, Frames<'m, Sink, [Item; PLACES]>>;

pub(super) struct Gathering<'m> {
    space: usize,
    gather: Gather<'m, Ground, 1, Sink, [Item; PLACES]>,
}

/// Looks, presses, waits, or lets go; whether everything is flushed.
fn go_through<const N: usize, H: Held<1>>(
    mut flushing: Flushing<'_, '_, Ground, 1, N, H>,
    input: &mut Input<'_>,
) -> bool
where
    for<'b, 'e> Flushing<'b, 'e, Ground, 1, N, H>: InProgress<1>,
{
    match input.below(4) {
        0 => matches!(flushing.poll(), Poll::Ready(Ok(_))),
        1 => {
            flushing.escalate();
            flushing.wait().is_ok()
        }
        2 => {
            drop(flushing);
            false
        }
        _ => flushing.wait().is_ok(),
    }
}

impl<'m> Kernel<'m> {
    /// A page goes with the batch that is open.
    pub(super) fn reclaim(&mut self, space: usize, page: u64, input: &mut Input<'_>) {
        let machine = self.machine;
        let Some(frame) = self.take(space, page) else {
            return;
        };
        let (of, item) = (&machine.spaces[space].0, machine.sink.give(frame));
        let batch = self.batch.get_or_insert_with(|| {
            Reclaim::holding(&*machine.engine, Frames::inline::<PLACES>(&machine.sink))
        });
        let is_dirty = input.flag();
        let added = machine.in_time(3, || {
            let add = |batch: &mut Batch<'m>| match is_dirty {
                true => batch.add_dirty(of, flush_of(page, page).leaf_only()),
                false => batch.add(of, flush_of(page, page)),
            };
            let mut added = add(batch);
            if added == Err(AddError::Full) {
                let _ = batch.flush();
                added = add(batch);
            }
            added
        });
        let is_held = match added {
            Ok(()) => batch.held().push(item).is_ok(),
            Err(AddError::Full | AddError::Incomplete(_)) => false,
            Err(AddError::Refused(error)) => panic!("{error:?}"),
        };
        if !is_held {
            // Somebody has not answered, or there is no place: nothing will say that the frame is free.
            machine.sink.lose(frame);
        }
    }

    pub(super) fn flush_batch(&mut self, input: &mut Input<'_>) {
        let machine = self.machine;
        let Some(mut batch) = self.batch.take() else {
            return;
        };
        if input.flag() {
            self.touch();
        }
        match input.below(4) {
            0 => {
                let _ = machine.in_time(1, || batch.flush());
            }
            1 => {
                let _ = machine.in_time(1, || batch.flush_before_io());
            }
            2 => {
                machine.in_time(2, || drop(batch));
                return;
            }
            _ => {
                let flushing = batch.start().expect("a CPU that is known");
                machine.in_time(2, || go_through(flushing, input));
            }
        }
        self.batch = Some(batch);
    }

    /// A page goes with the gather that is open, or opens one.
    pub(super) fn gather(&mut self, space: usize, page: u64, input: &mut Input<'_>) {
        let machine = self.machine;
        if self.gather.is_none() {
            let frames = Frames::inline::<PLACES>(&machine.sink);
            match Gather::new(&*machine.engine, &machine.spaces[space].0, frames) {
                Ok(gather) => self.gather = Some(Gathering { space, gather }),
                Err(error) => assert!(self.lives[space] != Life::Live, "{error:?}"),
            }
        }
        let Some(space) = self.gather.as_ref().map(|open| open.space) else {
            return;
        };
        let Some(frame) = self.take(space, page) else {
            return;
        };
        machine.sink.begin(frame);
        let (at, base) = (VirtAddr::new(address(page)), PhysAddr::new(frame));
        let Some(Gathering { gather, .. }) = &mut self.gather else {
            unreachable!("it is open");
        };
        let gathered = machine.in_time(3, || match input.flag() {
            true => gather.unmap_dirty(at, PageSize::KIB_4, base),
            false => gather.unmap(at, PageSize::KIB_4, Some(base)),
        });
        match gathered {
            // What was not told has the frame as well.
            Ok(()) | Err(GatherError::NotTold(_)) => {}
            Err(GatherError::Incomplete(_)) => machine.sink.lose(frame),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(super) fn finish_gather(&mut self, input: &mut Input<'_>) {
        let machine = self.machine;
        let Some(Gathering { space, mut gather }) = self.gather.take() else {
            return;
        };
        let is_over = match input.below(4) {
            0 => machine.in_time(1, || gather.finish()).is_ok(),
            1 => {
                let _ = machine.in_time(1, || gather.flush());
                false
            }
            2 => {
                machine.in_time(3, || drop(gather));
                return;
            }
            _ => {
                let finishing = gather.start_finish().expect("a CPU that is known");
                machine.in_time(2, || go_through(finishing, input))
            }
        };
        if !is_over {
            self.gather = Some(Gathering { space, gather });
        }
    }

    /// The kernel relies on what is not in a table not being held either, as far as batches have taken it out.
    pub(super) fn flush_pending(&mut self, space: usize) {
        let machine = self.machine;
        let of = &machine.spaces[space].0;
        let was_pending = of.is_flush_pending();
        let flushed = machine.in_time(1, || machine.engine.flush_pending(of));
        if was_pending && flushed.is_ok_and(|cost| cost != tlb_shootdown::cost::Cost::ZERO) {
            self.completed(space, 0..=PAGES - 1, self.changes);
        }
    }

    /// Everybody answers: what is open ends.
    pub(super) fn end_batches(&mut self) {
        let machine = self.machine;
        if let Some(Gathering { mut gather, .. }) = self.gather.take() {
            let finished = machine.in_time(1, || {
                let mut last = gather.start_finish().expect("a CPU that is known");
                last.escalate();
                last.wait().is_ok()
            });
            assert!(finished, "everybody answers");
        }
        if let Some(mut batch) = self.batch.take() {
            let flushed = machine.in_time(1, || {
                let mut last = batch.start().expect("a CPU that is known");
                last.escalate();
                last.wait().is_ok()
            });
            assert!(flushed, "everybody answers");
        }
    }
}
