//! The end of a process on a link, step by step (promise 10).
//!
//! Unlike a table that is cleared, a device has to agree: a process element that its device still uses must stay as it is, or the machine
//! stops. So an end is not done at once and then waited for; each call takes every element as far as it goes without waiting. A step
//! that asks the host is claimed under the lock and asked without it: firmware may take a millisecond, and so is asked once in each call.

use super::Link;
use super::config::{Context, Mode};
use super::error::Unfinished;
use super::host::{Host, HostError};
use super::ids::Pid;
use super::requests::Extent;
use super::state::{Life, Locked, Stage};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::AttachKey;
use core::task::Poll;

/// How far an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing of the process is left once the invalidation of this number is complete.
    Ended(u64),
    /// This is not done yet.
    Waiting(Unfinished),
    /// The host could not do this.
    Refused(Unfinished),
}

/// What the host is asked to do for an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Terminate,
    Look,
    ClearPeCache,
}

/// Steps of one element, at most.
const STEPS: usize = 3;

impl<M, B, L, H, const S: usize, const R: usize> Link<M, B, L, H, S, R>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
    H: Host,
{
    /// What the end of a process waits for, if it has begun and is not complete: whom to look at after a release or a detach was not
    /// done in time. Any context.
    pub fn unfinished(&self, key: AttachKey) -> Option<Unfinished> {
        self.locked(|l| l.unfinished(key))
    }

    /// Takes the end of a process as far as it goes without waiting. `None` where the key names nothing any more.
    pub(super) fn end(&self, key: AttachKey, cost: &mut Cost) -> Option<Progress> {
        self.locked(|l| l.begin_end(key))?;
        let mut refused = None;
        let mut firmware_asked = false;
        for slot in 0..S {
            refused = self.end_element(key, slot, &mut firmware_asked).or(refused);
        }
        if let Some(what) = refused {
            return Some(Progress::Refused(what));
        }
        if let Some(pid) = self.locked_at(cost, |l| l.end_entries(key)) {
            self.host.flush_process(pid);
            self.locked(|l| l.settle_flush(key));
        }
        self.locked(|l| l.progress(key))
    }

    /// Takes one element as far as it goes. Gives what the host could not do.
    fn end_element(
        &self,
        key: AttachKey,
        slot: usize,
        firmware_asked: &mut bool,
    ) -> Option<Unfinished> {
        for _ in 0..STEPS {
            let (step, context) = self.locked(|l| l.claim(key, slot, *firmware_asked))?;
            *firmware_asked |= step == Step::ClearPeCache;
            let answer = self.ask(step, &context);
            self.locked(|l| l.settle(slot, step, answer));
            match answer {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(HostError)) => return Some(unfinished(step, context)),
                Poll::Pending => return None,
            }
        }
        None
    }

    fn ask(&self, step: Step, context: &Context) -> Poll<Result<(), HostError>> {
        match step {
            Step::Terminate => self.host.terminate_pasid(context),
            Step::Look => self.host.termination(context),
            Step::ClearPeCache => self.host.clear_pe_cache(context),
        }
    }
}

fn unfinished(step: Step, context: Context) -> Unfinished {
    match step {
        Step::Terminate | Step::Look => Unfinished::Termination(context),
        Step::ClearPeCache => Unfinished::PeCache(context),
    }
}

impl Stage {
    /// What is asked for next, once the process ends.
    const fn step(self) -> Option<Step> {
        match self {
            Self::Valid => Some(Step::Terminate),
            Self::Terminating => Some(Step::Look),
            Self::Cached => Some(Step::ClearPeCache),
            Self::Reserved | Self::Gone => None,
        }
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const R: usize> Locked<'_, M, B, S, R> {
    /// No element of the process becomes valid from here on.
    fn begin_end(&mut self, key: AttachKey) -> Option<()> {
        let (owner, attached) = self.state.processes.find(key)?;
        if attached.life == Life::Open {
            self.set_life(owner, Life::Ending);
        }
        for element in self.state.elements.iter_mut().flatten() {
            if element.owner == owner && element.stage == Stage::Reserved {
                element.stage = Stage::Gone;
            }
        }
        Some(())
    }

    /// Takes the next step of the element in this slot for this CPU alone, unless firmware had to be asked once more for it.
    fn claim(
        &mut self,
        key: AttachKey,
        slot: usize,
        firmware_asked: bool,
    ) -> Option<(Step, Context)> {
        let (owner, _) = self.state.processes.find(key)?;
        let element = self.state.elements.get_mut(slot)?.as_mut()?;
        if element.owner != owner || element.claimed {
            return None;
        }
        let step = element.stage.step()?;
        if step == Step::ClearPeCache && firmware_asked {
            return None;
        }
        element.claimed = true;
        Some((step, element.context))
    }

    /// Records the answer to a claimed step. The element is still the same: it is not gone.
    fn settle(&mut self, slot: usize, step: Step, answer: Poll<Result<(), HostError>>) {
        let Some(Some(element)) = self.state.elements.get_mut(slot) else {
            return;
        };
        element.claimed = false;
        element.stage = match (step, answer) {
            (_, Poll::Pending) => return,
            (Step::Terminate, Poll::Ready(Ok(())))
                if !Defect::ElementClearedUnderDevice.is_put_back() =>
            {
                Stage::Terminating
            }
            (Step::Terminate | Step::Look, Poll::Ready(Ok(()))) => {
                let pasid = element.context.pasid;
                self.state.spa.clear(pasid, &self.hw.barriers);
                if Defect::PeCacheKept.is_put_back() {
                    Stage::Gone
                } else {
                    Stage::Cached
                }
            }
            (Step::ClearPeCache, Poll::Ready(Ok(()))) => Stage::Gone,
            // Asked for again.
            (Step::Terminate | Step::Look, Poll::Ready(Err(HostError))) => Stage::Valid,
            (Step::ClearPeCache, Poll::Ready(Err(HostError))) => Stage::Cached,
        };
    }

    /// Invalidates what was cached of a process whose elements are gone. Gives its PID where the CPUs have to do it, and claims that.
    fn end_entries(&mut self, key: AttachKey) -> Option<Pid> {
        let (owner, attached) = self.state.processes.find(key)?;
        if attached.life != Life::Ending || self.remaining(owner).is_some() {
            return None;
        }
        let pid = attached.process.pid;
        let walked = attached.walked && !Defect::EndWithoutInvalidation.is_put_back();
        let life = match (&self.hw.mode, walked) {
            (_, false) => Life::Ended(0),
            (Mode::Snooping, true) => Life::Flushing,
            (Mode::Atsd(_), true) => {
                // Where there is no room it is tried again.
                self.request(pid, Extent::Process).ok()?;
                Life::Ended(self.state.youngest)
            }
        };
        self.set_life(owner, life);
        (life == Life::Flushing).then_some(pid)
    }

    fn settle_flush(&mut self, key: AttachKey) {
        if let Some((owner, _)) = self.state.processes.find(key) {
            self.set_life(owner, Life::Ended(0));
        }
    }

    fn progress(&self, key: AttachKey) -> Option<Progress> {
        let (owner, attached) = self.state.processes.find(key)?;
        let progress = match attached.life {
            Life::Ended(number) => Progress::Ended(number),
            _ => Progress::Waiting(self.remaining(owner).unwrap_or(Unfinished::Invalidation)),
        };
        Some(progress)
    }

    fn unfinished(&self, key: AttachKey) -> Option<Unfinished> {
        let (_, attached) = self.state.processes.find(key)?;
        if attached.life == Life::Open {
            return None;
        }
        match self.progress(key)? {
            Progress::Ended(number) if self.is_complete(number) => None,
            Progress::Ended(_) => Some(Unfinished::Invalidation),
            Progress::Waiting(what) | Progress::Refused(what) => Some(what),
        }
    }

    /// An element of a process that is not gone, and its next step.
    fn remaining(&self, owner: usize) -> Option<Unfinished> {
        let elements = self.state.elements.iter().flatten();
        let mut mine = elements.filter(|element| element.owner == owner);
        mine.find_map(|element| Some(unfinished(element.stage.step()?, element.context)))
    }

    fn set_life(&mut self, owner: usize, life: Life) {
        if let Some(attached) = self.state.processes.get_mut(owner) {
            attached.life = life;
        }
    }
}
