//! Failures in words: the sentence of the contract, then who broke it.

use super::{Failure, Who};
use core::fmt;

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cpu) => write!(f, "CPU {}", cpu.index()),
            Self::Device => f.write_str("the device"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = self
            .of_platform()
            .or_else(|| self.of_arch())
            .or_else(|| self.of_secondary());
        f.write_str(sentence.unwrap_or("the suite could not go on"))?;
        self.who(f)
    }
}

impl core::error::Error for Failure {}

impl Failure {
    fn of_platform(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotRun { .. } => "run_on runs its work before it returns",
            Self::NotTogether { .. } => "run_together runs its work on all CPUs at the same time",
            Self::RoundRefused => "an online CPU may ask the others",
            Self::BeyondCapacity { .. } => "CPU numbers fit into the CPU sets of the engine",
            Self::SharedNumber { .. } => "no two CPUs share a number",
            Self::WrongCpu { .. } => "cpu() is the executing CPU",
            Self::Moved { .. } => "while a guard lives the caller stays on its CPU",
            Self::RepairsChanges { .. } => {
                "repairs_spurious_faults() holds for every fault handler, always"
            }
            Self::WakeLaterChanges { .. } => "there is a way to wake later, or there is none",
            Self::NmiWayChanges { .. } => "there is a way to send NMIs, or there is none",
            Self::ClockComesAndGoes { .. } => "there is a clock, or there is none",
            Self::ClockWentBack { .. } => "all CPUs share the clock, and it never goes back",
            Self::ClockStandsStill { .. } => "the clock counts nanoseconds",
            Self::NotInterrupted { .. } => "send_ipi makes every named CPU call on_ipi",
            Self::InterruptLost { .. } => {
                "send_ipi makes every named CPU call on_ipi, also one that is in that handler"
            }
            Self::InterruptedWhileOff { .. } => {
                "while an irq_save guard lives no interrupt handler runs on its CPU"
            }
            Self::StaysMasked { .. } => "the last irq_save guard restores what was before",
            Self::NmiUnanswered { .. } => {
                "where send_nmi returns true every named CPU calls on_nmi, also with interrupts off"
            }
            Self::NotWoken { .. } => {
                "a waker that wake_later has kept is woken when it is worth a look"
            }
            _ => return None,
        })
    }

    fn of_arch(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unprepared { .. } | Self::DeviceUnprepared { .. } => {
                "a page is what was stored in its entry, where nobody holds an older one"
            }
            Self::Stale { .. } => "nobody uses an old entry once its flush has returned",
            Self::RootKept { .. } => {
                "leave_borrowed_root leaves the root of a space that the CPU does not run"
            }
            Self::FlushRefused { .. } => "the test pages can be flushed",
            Self::FlushIncomplete { .. } => "everybody answers a flush before its deadline",
            _ => return None,
        })
    }

    fn of_secondary(&self) -> Option<&'static str> {
        Some(match self {
            Self::NeedsChange => "needs() is constant",
            Self::QueueRings => "queue() and release() do not ring",
            Self::FullQueues => "where there is no room nothing is queued",
            Self::NoRoomAgain => "what has completed makes room",
            Self::RingsTwice { .. } => "seal() rings the doorbell once",
            Self::EmptySealSubmits => "seal() with nothing queued submits nothing",
            Self::EmptySealIsNew { .. } => {
                "seal() with nothing queued gives the fence of what was sealed last"
            }
            Self::SequenceReused { .. } => "sequences are never reused, and rise",
            Self::FenceNotReached { .. } => "every fence is reached",
            Self::FenceFailed { .. } => "errors have a cause",
            Self::FenceForgotten { .. } => "a fence that was reached stays reached",
            Self::NotReleased => "release() is accepted in the end",
            Self::DeviceStale { .. } => {
                "once a fence is reached no device uses an entry that it invalidates"
            }
            Self::Overtaken { .. } => "a fence covers everything that its CPU has queued before",
            Self::NotSilent { .. } => "after its release no device walks a space",
            _ => return None,
        })
    }

    fn who(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRefused
            | Self::NeedsChange
            | Self::QueueRings
            | Self::FullQueues
            | Self::NoRoomAgain
            | Self::EmptySealSubmits
            | Self::NotReleased => Ok(()),
            Self::NotRun { cpu }
            | Self::NotTogether { cpu }
            | Self::BeyondCapacity { cpu }
            | Self::SharedNumber { cpu }
            | Self::RepairsChanges { cpu }
            | Self::WakeLaterChanges { cpu }
            | Self::NmiWayChanges { cpu }
            | Self::ClockComesAndGoes { cpu }
            | Self::ClockStandsStill { cpu }
            | Self::NotInterrupted { cpu }
            | Self::InterruptLost { cpu }
            | Self::InterruptedWhileOff { cpu }
            | Self::StaysMasked { cpu }
            | Self::NmiUnanswered { cpu }
            | Self::NotWoken { cpu }
            | Self::RootKept { cpu } => write!(f, ": {}", Who::Cpu(*cpu)),
            Self::WrongCpu { asked, found } => {
                write!(f, ": {} says {}", Who::Cpu(*asked), found.index())
            }
            Self::Moved { cpu, now } => write!(f, ": {}, now {}", Who::Cpu(*cpu), now.index()),
            Self::ClockWentBack { cpu, before, now } => {
                write!(f, ": {} reads {now} after {before}", Who::Cpu(*cpu))
            }
            _ => self.where_it_was(f),
        }
    }

    fn where_it_was(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprepared { who, page } => write!(f, ": {who}, page {page}"),
            Self::Stale { way, who, page } => write!(f, ": {who}, page {page}, after {way}"),
            Self::FlushRefused { way, refused } => write!(f, ": {way}: {refused}"),
            Self::FlushIncomplete { way, cpu: None } => write!(f, ": a device, {way}"),
            Self::FlushIncomplete {
                way,
                cpu: Some(cpu),
            } => {
                write!(f, ": {}, {way}", Who::Cpu(*cpu))
            }
            Self::RingsTwice { doorbells } => write!(f, ": {doorbells} doorbells"),
            Self::EmptySealIsNew { sealed, given } => write!(f, ": {given} after {sealed}"),
            Self::SequenceReused { sequence }
            | Self::FenceNotReached { sequence }
            | Self::FenceForgotten { sequence } => write!(f, ": fence {sequence}"),
            Self::FenceFailed { sequence, error } => write!(f, ": fence {sequence}, {error}"),
            Self::DeviceUnprepared { page }
            | Self::DeviceStale { page }
            | Self::Overtaken { page }
            | Self::NotSilent { page } => write!(f, ": {}, page {page}", Who::Device),
            _ => Ok(()),
        }
    }
}
