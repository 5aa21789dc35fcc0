//! The secondary TLBs' part of a ticket: what has been queued, what is awaited, what went wrong.

use crate::attachment::{Inside, MAX_SECONDARIES, Purpose, Slots};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::flush::Flush;
use crate::secondary::{Fence, Full, Invalidation, Needs, SecondaryError};
use core::task::Poll;

/// What every secondary TLB of a ticket is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Drop these translations.
    Flush(Flush),
    /// Stop walking, and drop everything.
    Release,
    /// Drop tables of the kernel half.
    KernelTables,
}

/// How far one secondary TLB has come. The generation tells whether its slot is still the same attachment.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Not concerned.
    Idle,
    /// To be queued: now, when there is room, or after the CPUs' completion.
    Unqueued { generation: u32 },
    /// Awaited.
    Sealed { generation: u32, fence: Fence },
    /// Reported an error.
    Failed {
        generation: u32,
        fence: Fence,
        error: SecondaryError,
    },
    /// Done, or detached meanwhile.
    Done,
}

/// Callers inside the places in which something was queued.
pub(crate) type Queued<'s> = [Option<Inside<'s>>; MAX_SECONDARIES];

/// One state for each slot of the owner.
#[derive(Clone, Debug)]
pub(crate) struct Waits {
    task: Task,
    states: [State; MAX_SECONDARIES],
}

impl Waits {
    /// Nobody is concerned yet.
    pub(crate) fn new(task: Task) -> Self {
        Self {
            task,
            states: [State::Idle; MAX_SECONDARIES],
        }
    }

    /// Concerns every secondary TLB attached now whose needs `wanted` accepts. Whoever attaches later has not walked before the
    /// page-table stores.
    pub(crate) fn enlist(&mut self, slots: &Slots, wanted: impl Fn(Needs) -> bool) {
        for (state, (_, slot)) in self.states.iter_mut().zip(slots.iter()) {
            if let Some(inside) = slot.enter(Purpose::Queue)
                && wanted(inside.tlb().needs())
            {
                *state = State::Unqueued {
                    generation: inside.generation(),
                };
                if Defect::OtherSecondariesSkipped.is_put_back() {
                    return;
                }
            }
        }
    }

    /// Concerns one attachment alone.
    pub(crate) fn enlist_one(&mut self, index: usize, generation: u32) {
        if let Some(state) = self.states.get_mut(index) {
            *state = State::Unqueued { generation };
        }
    }

    /// Queues to all that `which` accepts, then seals them: all are started before any is waited for. Inside all of them from
    /// the one to the other, so that no detach ends between a command and its doorbell.
    pub(crate) fn submit(&mut self, slots: &Slots, which: impl Fn(Needs) -> bool, cost: &mut Cost) {
        let queued = self.queue(slots, which, cost);
        for (index, inside) in queued.iter().enumerate() {
            if let Some(inside) = inside {
                self.seal(index, inside, inside.tlb().seal(cost));
            }
        }
    }

    /// Queues to all that `which` accepts: those inside which something now waits to be sealed.
    pub(crate) fn queue<'s>(
        &mut self,
        slots: &'s Slots,
        which: impl Fn(Needs) -> bool,
        cost: &mut Cost,
    ) -> Queued<'s> {
        let task = self.task;
        let mut queued = [const { None }; MAX_SECONDARIES];
        for ((state, (_, slot)), queued) in
            self.states.iter_mut().zip(slots.iter()).zip(&mut queued)
        {
            let State::Unqueued { generation } = *state else {
                continue;
            };
            match slot
                .enter(Purpose::Queue)
                .filter(|i| i.generation() == generation)
            {
                Some(inside) if which(inside.tlb().needs()) => {
                    let takes = queue(&inside, task, cost).is_ok();
                    if !takes && Defect::FullQueueForgotten.is_put_back() {
                        *state = State::Done;
                    }
                    *queued = takes.then_some(inside);
                }
                Some(_) => {}
                None => *state = State::Done,
            }
        }
        queued
    }

    /// What was queued inside this place is covered by this fence.
    pub(crate) fn seal(&mut self, index: usize, inside: &Inside<'_>, fence: Fence) {
        if let Some(state) = self.states.get_mut(index) {
            *state = State::Sealed {
                generation: inside.generation(),
                fence,
            };
        }
    }

    /// One look at each of them; those that found no room are tried again.
    pub(crate) fn poll(&mut self, slots: &Slots, cost: &mut Cost) {
        if self
            .states
            .iter()
            .any(|s| matches!(s, State::Unqueued { .. }))
        {
            self.submit(slots, |_| true, cost);
        }
        for (state, (_, slot)) in self.states.iter_mut().zip(slots.iter()) {
            let (generation, fence) = match *state {
                State::Sealed { generation, fence }
                | State::Failed {
                    generation, fence, ..
                } => (generation, Some(fence)),
                State::Unqueued { generation } => (generation, None),
                _ => continue,
            };
            let inside = slot
                .enter(Purpose::Poll)
                .filter(|i| i.generation() == generation);
            *state = match (inside, fence) {
                (Some(inside), Some(fence)) => poll_fence(&inside, generation, fence, cost),
                (Some(inside), None) => {
                    make_room(&inside, cost);
                    State::Unqueued { generation }
                }
                (None, _) => State::Done,
            };
        }
    }

    /// Asks those that have failed or not answered for everything they have, once more.
    pub(crate) fn widen(&mut self, cost: &mut Cost) {
        if let Task::Flush(flush) = &mut self.task {
            *flush = Flush::all();
        }
        for state in &mut self.states {
            if let State::Sealed { generation, .. } | State::Failed { generation, .. } = *state {
                *state = State::Unqueued { generation };
                cost.escalations += 1;
            }
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.states
            .iter()
            .any(|s| matches!(s, State::Unqueued { .. } | State::Sealed { .. }))
    }

    /// Bit `n`: slot `n` has not completed.
    pub(crate) fn unfinished(&self) -> u32 {
        self.states
            .iter()
            .enumerate()
            .filter(|(_, state)| !matches!(state, State::Idle | State::Done))
            .fold(0, |bits, (index, _)| bits | 1 << index)
    }

    pub(crate) fn error(&self) -> Option<SecondaryError> {
        self.states.iter().find_map(|state| match state {
            State::Failed { error, .. } => Some(*error),
            _ => None,
        })
    }
}

fn queue(inside: &Inside<'_>, task: Task, cost: &mut Cost) -> Result<(), Full> {
    let (tlb, key) = (inside.tlb(), inside.key());
    match task {
        Task::Flush(flush) => tlb.queue(&Invalidation::Space { key, flush }, cost),
        Task::Release => tlb.release(key, cost),
        Task::KernelTables => tlb.queue(&Invalidation::KernelTables, cost),
    }
}

fn poll_fence(inside: &Inside<'_>, generation: u32, mut fence: Fence, cost: &mut Cost) -> State {
    match inside.tlb().poll(&mut fence, cost) {
        Poll::Pending => State::Sealed { generation, fence },
        Poll::Ready(Ok(())) => State::Done,
        Poll::Ready(Err(_)) if Defect::DeviceErrorForgotten.is_put_back() => State::Done,
        Poll::Ready(Err(error)) => State::Failed {
            generation,
            fence,
            error,
        },
    }
}

/// A full ring whose owners have all given up has nobody who looks at its errors: one look on their behalf.
fn make_room(inside: &Inside<'_>, cost: &mut Cost) {
    let mut fence = inside.tlb().seal(cost);
    let _ = inside.tlb().poll(&mut fence, cost);
}
