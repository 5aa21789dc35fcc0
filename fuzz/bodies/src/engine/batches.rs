//! Gathers and batches that stay open from one operation to the next.

use super::kernel::{Kernel, Life, address};
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
    /// Not where a last flush of it was let go: that may have completed, and ended it.
    is_open: bool,
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
            Ok(()) | Err(AddError::Incomplete(_)) => {
                self.deferred.insert((space, page), is_dirty);
                batch.held().push(item).is_ok()
            }
            Err(AddError::Full) => false,
            Err(AddError::Refused(error)) => panic!("{error:?}"),
        };
        if !is_held {
            // There is no place: nothing will say that the frame is free.
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
                if machine.in_time(1, || batch.flush_before_io()).is_ok() {
                    self.flushed(|_, is_dirty| is_dirty);
                }
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

    /// A page goes with a gather that is open, or opens one.
    pub(super) fn gather(&mut self, space: usize, page: u64, input: &mut Input<'_>) {
        let machine = self.machine;
        if self.gathers.len() < 2 && (self.gathers.is_empty() || input.flag()) {
            let frames = Frames::inline::<PLACES>(&machine.sink);
            match Gather::new(&*machine.engine, &machine.spaces[space].0, frames) {
                Ok(gather) => self.gathers.push(Gathering {
                    space,
                    is_open: true,
                    gather,
                }),
                Err(error) => assert!(self.lives[space] != Life::Live, "{error:?}"),
            }
        }
        let Some(space) = self.gathers.last().map(|open| open.space) else {
            return;
        };
        let Some(frame) = self.take(space, page) else {
            return;
        };
        machine.sink.begin(frame);
        let (at, base) = (VirtAddr::new(address(page)), PhysAddr::new(frame));
        let Some(Gathering {
            gather, is_open, ..
        }) = self.gathers.last_mut()
        else {
            unreachable!("it is there");
        };
        // Also where it had ended.
        *is_open = true;
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
        self.deferred.insert((space, page), false);
    }

    pub(super) fn finish_gather(&mut self, input: &mut Input<'_>) {
        let machine = self.machine;
        if self.gathers.is_empty() {
            return;
        }
        let index = input.below(self.gathers.len() as u64) as usize;
        let Gathering {
            space,
            mut is_open,
            mut gather,
        } = self.gathers.remove(index);
        let is_wide = is_open
            && self
                .gathers
                .iter()
                .any(|it| it.is_open && it.space == space);
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
                is_open = false;
                machine.in_time(2, || go_through(finishing, input))
            }
        };
        if !is_over {
            self.gathers.push(Gathering {
                space,
                is_open,
                gather,
            });
        } else if is_wide {
            // It may have met what the other has cleared.
            self.flushed(|of, _| of == space);
        }
    }

    /// What was put into gathers and batches, as far as it is wanted, is complete.
    fn flushed(&mut self, is_wanted: impl Fn(usize, bool) -> bool) {
        let all = self.deferred.iter().map(|(at, is_dirty)| (*at, *is_dirty));
        let wanted: Vec<_> = all
            .filter(|((space, _), is_dirty)| is_wanted(*space, *is_dirty))
            .map(|(at, _)| at)
            .collect();
        for (space, page) in wanted {
            self.completed(space, page..=page, self.changes);
        }
    }

    /// The kernel relies on what is not in a table not being held either, as far as batches have taken it out.
    pub(super) fn flush_pending(&mut self, space: usize) {
        let machine = self.machine;
        let of = &machine.spaces[space].0;
        if machine
            .in_time(1, || machine.engine.flush_pending(of))
            .is_ok()
        {
            self.flushed(|of, _| of == space);
        }
    }

    /// Everybody answers: what is open ends.
    pub(super) fn end_batches(&mut self) {
        let machine = self.machine;
        for Gathering { mut gather, .. } in std::mem::take(&mut self.gathers) {
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
