//! What the host kernel supplies.

use crate::arch::Arch;
use crate::cpu_set::{CpuId, CpuMask};
use crate::space_id::SpaceId;
use core::task::Waker;

/// The kernel underneath: CPU numbers, pinning, interrupts, and optionally a clock.
///
/// # Implementation safety
/// The engine frees memory on the strength of these answers, so implementors promise:
/// * [`cpu`](Self::cpu), called while pinned or with interrupts off, is the executing CPU, and no two CPUs share a number.
/// * While a [`pin_cpu`](Self::pin_cpu) guard lives, the caller stays on its CPU; while an
///   [`irq_save`](Self::irq_save) guard lives, no interrupt handler runs on it either. Both nest.
/// * [`send_ipi`](Self::send_ipi) makes every named CPU call `Shootdown::on_ipi` after
///   all stores that the sender made before, even where it was already in that handler.
/// * [`repairs_spurious_faults`](Self::repairs_spurious_faults) is true only where it holds for every fault handler.
///
/// # Context
/// Every method may be called with interrupts off and locks held. None may sleep, allocate, take a lock that is held
/// anywhere with a flush inside, or call the engine.
pub unsafe trait Platform: Sync {
    /// The architecture: the native one in a kernel, a recorder or the model in tests.
    type Arch: Arch;
    /// Keeps the task on its CPU until dropped.
    type PinGuard;
    /// Keeps interrupts off until dropped, then restores what was before.
    type IrqGuard;

    /// The executing CPU. Called only while pinned or with interrupts off.
    fn cpu(&self) -> CpuId;

    /// Keeps the caller on its CPU.
    fn pin_cpu(&self) -> Self::PinGuard;

    /// Saves the interrupt state and turns interrupts off.
    fn irq_save(&self) -> Self::IrqGuard;

    /// Interrupts these CPUs; the request itself is in the engine's mailboxes. Never names the caller; may name a CPU that has
    /// just gone offline, for which nobody waits. Architectures that broadcast invalidations by instruction need it where a
    /// space is retired and for `Shootdown::sync_lockless_walkers`.
    fn send_ipi(&self, targets: CpuMask<'_>);

    /// Interrupts these CPUs by NMI, whose handler calls `Shootdown::on_nmi`; false where there is no such way. Asked for when a
    /// ticket is pressed again and again ([`escalate`](crate::ticket::Ticket::escalate)). Never names the caller.
    fn send_nmi(&self, targets: CpuMask<'_>) -> bool {
        let _ = targets;
        false
    }

    /// Called in every turn of a spin loop: a pause, a yield, or nothing.
    fn relax(&self) {
        core::hint::spin_loop();
    }

    /// Keeps a waker of a task that awaits a shootdown ([`Completion`](crate::ticket::Completion)), and wakes it when it is worth a look: an
    /// answer is a store to memory and interrupts nobody, so from a timer's tick, say, or from the interrupt of an IOMMU's queue. False where
    /// there is no such way; the task is then woken at once.
    fn wake_later(&self, waker: &Waker) -> bool {
        let _ = waker;
        false
    }

    /// Nanoseconds on a clock that all CPUs share and that never goes back; `None` where there is no such clock, and
    /// deadlines are then counted in turns of the spin loop.
    fn now(&self) -> Option<u64> {
        None
    }

    /// Leaves the root of `space` where this CPU still has it loaded without running the space (a kernel thread or the idle
    /// task that borrowed it, see `Shootdown::enter_lazy`): loads a root of the kernel's own, on x86-64 under identifier 0 and without
    /// bit 63 of CR3. `None` stands for any such root.
    /// Called on the CPU itself,
    /// with interrupts off: when a space is retired, while a request is served, and when the CPU goes offline. Nothing to do for
    /// kernels that never borrow a root.
    fn leave_borrowed_root(&self, space: Option<SpaceId>) {
        let _ = space;
    }

    /// Whether the fault handler repairs spurious faults: a write fault on an entry that already allows the write ends in
    /// `Shootdown::fix_spurious_fault` and a retry. Upgrades of user mappings then need
    /// no broadcast to the other CPUs.
    fn repairs_spurious_faults(&self) -> bool {
        false
    }
}
