//! Which sentence of a contract was broken, and by whom.

mod words;

use super::arch::Way;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::error::Refused;
use tlb_shootdown::secondary::SecondaryError;

/// Who looked at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A CPU.
    Cpu(CpuId),
    /// The device.
    Device,
}

/// The sentence of a contract that was found broken. [`Display`](core::fmt::Display) says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are who is named: CPU, page, way, sequence"
)]
pub enum Failure {
    /// `Cpus::run_on` did not run what it was given.
    NotRun { cpu: CpuId },
    /// `Cpus::run_together` ran its CPUs one after another.
    NotTogether { cpu: CpuId },
    /// The engine refused a round from a CPU that is online.
    RoundRefused,

    /// `Platform::cpu` gives a number that fits into no set of CPUs.
    BeyondCapacity { cpu: CpuId },
    /// Two CPUs have one number.
    SharedNumber { cpu: CpuId },
    /// A CPU gives the number of another.
    WrongCpu { asked: CpuId, found: CpuId },
    /// The number changed while a guard lived.
    Moved { cpu: CpuId, now: CpuId },
    /// `Platform::repairs_spurious_faults` is not always the same.
    RepairsChanges { cpu: CpuId },
    /// `Platform::wake_later` is not always the same.
    WakeLaterChanges { cpu: CpuId },
    /// `Platform::send_nmi` is not always the same.
    NmiWayChanges { cpu: CpuId },
    /// `Platform::now` gives a time at one moment and none at another.
    ClockComesAndGoes { cpu: CpuId },
    /// `Platform::now` is earlier than a time that some CPU had seen before.
    ClockWentBack { cpu: CpuId, before: u64, now: u64 },
    /// `Platform::now` does not move.
    ClockStandsStill { cpu: CpuId },
    /// No interrupt reached a CPU.
    NotInterrupted { cpu: CpuId },
    /// An interrupt did not reach a CPU that earlier ones had reached.
    InterruptLost { cpu: CpuId },
    /// A handler ran under an `irq_save` guard.
    InterruptedWhileOff { cpu: CpuId },
    /// No handler runs after the last `irq_save` guard is dropped.
    StaysMasked { cpu: CpuId },
    /// An NMI was sent to a CPU whose interrupts were off, and `Shootdown::on_nmi` was not called there.
    NmiUnanswered { cpu: CpuId },
    /// A waker that `Platform::wake_later` had kept was not woken, though the shootdown had ended.
    NotWoken { cpu: CpuId },

    /// Before anything was flushed, somebody did not find in a page what was stored there.
    Unprepared { who: Who, page: usize },
    /// Somebody uses an old entry after a flush of it has returned.
    Stale { way: Way, who: Who, page: usize },
    /// The engine refused to flush a test page.
    FlushRefused { way: Way, refused: Refused },
    /// A CPU still walks the tables of a space that has ended.
    RootKept { cpu: CpuId },
    /// A flush did not complete; the first CPU that has not answered, where it was a CPU.
    FlushIncomplete { way: Way, cpu: Option<CpuId> },

    /// `SecondaryTlb::needs` is not always the same.
    NeedsChange,
    /// `SecondaryTlb::queue` or `release` rang a doorbell.
    QueueRings,
    /// `SecondaryTlb::queue` or `release` queued something and returned `Full`.
    FullQueues,
    /// A full queue has no room again after everything in it has been waited for.
    NoRoomAgain,
    /// A seal rang more than one doorbell.
    RingsTwice { doorbells: u32 },
    /// A seal with nothing queued submitted something.
    EmptySealSubmits,
    /// A seal with nothing queued gave another fence than the one before it.
    EmptySealIsNew { sealed: u64, given: u64 },
    /// A fence has a sequence that an earlier one had, or an older one.
    SequenceReused { sequence: u64 },
    /// A fence was not reached within the bounds.
    FenceNotReached { sequence: u64 },
    /// A fence ended in an error that nobody's hardware gave cause for.
    FenceFailed {
        sequence: u64,
        error: SecondaryError,
    },
    /// A fence that had been reached was not when it was polled again.
    FenceForgotten { sequence: u64 },
    /// `SecondaryTlb::release` was not accepted within the bounds.
    NotReleased,
    /// A device did not find in a page what was stored there.
    DeviceUnprepared { page: usize },
    /// A device used an old entry after the fence of its invalidation.
    DeviceStale { page: usize },
    /// A device used an old entry after a later fence of the same CPU.
    Overtaken { page: usize },
    /// A device used a page of a space after its release.
    NotSilent { page: usize },
}
