//! Invalidations, one at a time: the registers hold one, and take the next when STAT shows that it is complete.

use super::command::Launch;
use super::config::Mode;
use super::error::InitError;
use super::ids::Pid;
use super::plan::plan;
use super::registers::{AVA, BLOCK_LEN, LNCH, STAT, STAT_PENDING};
use super::requests::Extent;
use super::state::Locked;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::secondary::{Fence, Full, Invalidation, SecondaryError};
use core::task::Poll;

/// What STAT shows.
enum Status {
    Idle,
    Pending,
    /// All ones: nobody answers.
    Nobody,
}

/// `Mmio` is little-endian, and the registers are big-endian.
fn status(registers: &impl Mmio) -> Status {
    match registers.read64(STAT).swap_bytes() {
        u64::MAX => Status::Nobody,
        stat if stat & STAT_PENDING != 0 => Status::Pending,
        _ => Status::Idle,
    }
}

/// Whether there are registers, and idle ones.
pub(super) fn check(registers: &impl Mmio) -> Result<(), InitError> {
    if registers.len() < BLOCK_LEN {
        return Err(InitError::NoRegisters);
    }
    match status(registers) {
        Status::Idle => Ok(()),
        Status::Pending => Err(InitError::Busy),
        Status::Nobody => Err(InitError::NoRegisters),
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const R: usize> Locked<'_, M, B, S, R> {
    /// Queues what is to be invalidated; a link that snoops hears of it from the CPUs.
    pub(super) fn queue(&mut self, invalidation: &Invalidation) -> Result<(), Full> {
        // Tables of the kernel half are walked for PID 0 alone.
        let Invalidation::Space { key, flush } = invalidation else {
            return Ok(());
        };
        let Some((_, attached)) = self.state.processes.find(*key) else {
            return Ok(());
        };
        let (extent, escalations) = plan(flush, &self.hw.config);
        self.request(attached.process.pid, extent)?;
        let launches = matches!(self.hw.mode, Mode::Atsd(_));
        if launches && !Defect::LinkEscalationUncounted.is_put_back() {
            self.cost.escalations += escalations;
        }
        Ok(())
    }

    /// Adds a request. Two keys of one process need one: the second finds it covered.
    pub(super) fn request(&mut self, pid: Pid, extent: Extent) -> Result<(), Full> {
        if matches!(self.hw.mode, Mode::Snooping) {
            return Ok(());
        }
        let number = self.state.youngest + 1;
        self.cost.escalations += self.state.requests.add(pid, extent, number)?;
        self.state.youngest = number;
        Ok(())
    }

    /// Launches what can be launched, and names everything that was queued so far.
    pub(super) fn seal(&mut self) -> Fence {
        self.advance();
        Fence::new(self.state.youngest)
    }

    /// Looks whether a fence has been reached, and takes the registers one step further where it has not.
    pub(super) fn poll(&mut self, fence: &Fence) -> Poll<Result<(), SecondaryError>> {
        if !self.is_complete(fence.sequence) {
            self.advance();
        }
        if self.is_complete(fence.sequence) {
            self.hw.barriers.after_completion();
            return Poll::Ready(Ok(()));
        }
        if self.state.lost {
            return Poll::Ready(Err(SecondaryError::Failed));
        }
        Poll::Pending
    }

    /// Whether no request up to this number is outstanding.
    pub(super) fn is_complete(&self, number: u64) -> bool {
        let under_way = self.state.launched;
        let launched = under_way.filter(|_| !Defect::FenceBeforeLastLaunch.is_put_back());
        let launched = launched.map(|(_, since)| since);
        let waiting = self.state.requests.oldest();
        launched
            .into_iter()
            .chain(waiting)
            .all(|since| since > number)
    }

    /// One look at STAT where an invalidation is under way, and one launch where none is.
    fn advance(&mut self) {
        let hw = self.hw;
        let Mode::Atsd(registers) = &hw.mode else {
            return;
        };
        if self.state.launched.is_some() {
            if Defect::LinkLooksTwice.is_put_back() {
                let _ = status(registers);
            }
            match status(registers) {
                Status::Pending if !Defect::LaunchOverLaunch.is_put_back() => return,
                Status::Nobody => {
                    self.state.lost = true;
                    return;
                }
                // It was reset meanwhile, and what was launched before perhaps with it.
                Status::Idle if self.state.lost => self.state.lost = false,
                Status::Idle | Status::Pending => self.state.launched = None,
            }
        }
        if self.state.launched.is_none() {
            self.state.launched = self.state.requests.next();
        }
        if let Some((launch, _)) = self.state.launched {
            self.launch(registers, &launch);
        }
    }

    /// Page-table stores reach the nest MMU's walker before the invalidation starts: those of this CPU by this barrier, those of others
    /// because they were queued under the lock.
    fn launch(&mut self, registers: &M, launch: &Launch) {
        if !Defect::LaunchUnordered.is_put_back() {
            self.hw.barriers.before_doorbell();
        }
        if let Some(address) = launch.address() {
            registers.write64(AVA, address.swap_bytes());
        }
        let word = Defect::LinkLaunchOfAnotherPid.flips(1 << 25, launch.word());
        registers.write64(LNCH, word.swap_bytes());
        self.cost.queue_barriers += 1;
        self.cost.commands += 1;
        self.cost.doorbells += 1;
    }
}
