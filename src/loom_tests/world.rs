//! The smallest machine: page-table entries, frames behind them, and CPUs that are loom threads.

use crate::address::{PageRange, PageSize, RangeError, VirtAddr};
use crate::arch::{
    Arch, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Reach, Unproven,
};
use crate::cost::Cost;
use crate::cpu_set::{CpuId, CpuMask};
use crate::flush::Flush;
use crate::platform::Platform;
use crate::secondary::{AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb};
use crate::shootdown::Shootdown;
use crate::sync::{AtomicU32, AtomicU64, Ordering, UnsafeCell, fence};
use core::cell::Cell;
use core::task::Poll;

pub(super) type Engine = Shootdown<Host, 1>;
pub(super) type Space = crate::space::AddressSpace<Plain, 1>;

loom::thread_local! {
    static CURRENT: Cell<u32> = Cell::new(0);
    /// Whether this CPU's TLB holds the page.
    static CACHED: Cell<bool> = Cell::new(false);
}

/// From now on the calling thread is this CPU.
pub(super) fn become_cpu(cpu: u32) {
    CURRENT.with(|current| current.set(cpu));
}

pub(super) fn current_cpu() -> CpuId {
    CpuId::new(CURRENT.with(Cell::get))
}

/// One page: its entry in memory, and the frame behind it.
pub(super) struct Page {
    mapped: AtomicU32,
    frame: UnsafeCell<u32>,
}

impl Page {
    pub(super) fn new() -> Self {
        Self {
            mapped: AtomicU32::new(1),
            frame: UnsafeCell::new(0),
        }
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.mapped.load(Ordering::Relaxed) == 1
    }

    pub(super) fn unmap(&self) {
        self.mapped.store(0, Ordering::Relaxed);
    }

    /// An access through a cached entry.
    pub(super) fn access(&self) {
        self.frame.with(|_| ());
    }

    pub(super) fn free(&self) {
        self.frame.with_mut(|_| ());
    }

    /// The calling CPU uses the page, as its TLB has it or as the walk finds it.
    pub(super) fn touch(&self) {
        if holds_page() || self.is_mapped() {
            CACHED.with(|cached| cached.set(true));
            self.access();
        }
    }
}

/// Whether the calling CPU has the page in its TLB.
pub(super) fn holds_page() -> bool {
    CACHED.with(Cell::get)
}

pub(super) fn flush() -> Flush {
    Flush::page(VirtAddr::new(0x1000), PageSize::KIB_4)
}

pub(super) struct Host;

// SAFETY: threads stay on their CPU; interrupts are the calls to `on_ipi` that the tests make.
unsafe impl Platform for Host {
    type Arch = Plain;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        current_cpu()
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _targets: CpuMask<'_>) {}

    fn send_nmi(&self, _targets: CpuMask<'_>) -> bool {
        true
    }

    fn relax(&self) {
        loom::thread::yield_now();
    }
}

/// An architecture without broadcasts: a flush drops what the calling thread has cached.
pub(super) struct Plain;

fn drop_cached() {
    CACHED.with(|cached| cached.set(false));
}

// SAFETY: a flush drops the one entry that there is; the barrier is a full fence.
unsafe impl Arch for Plain {
    type Space = AtomicU64;

    fn join(&self, _: CpuId) -> Result<(), JoinError> {
        Ok(())
    }

    fn delivery(&self, _: Option<HardwareId>) -> Delivery {
        Delivery::Asked
    }

    fn compares_generations(&self) -> bool {
        true
    }

    fn flush_in_nmi(&self, _: CpuId) -> bool {
        drop_cached();
        true
    }

    fn check_range(&self, _: Half, _: &PageRange) -> Result<(), RangeError> {
        Ok(())
    }

    fn store_barrier(&self, _: Reach, _: &mut Cost) {
        fence(Ordering::SeqCst);
    }

    fn hardware_id(&self, space: &AtomicU64) -> Option<HardwareId> {
        let id = space.load(Ordering::Relaxed);
        (id != 0).then_some(HardwareId(id))
    }

    fn flush_tlb_range(&self, _: HardwareId, _: &PageRange, _: Entries, _: Reach, _: &mut Cost) {
        drop_cached();
    }

    fn flush_tlb_space(&self, _: HardwareId, _: Reach, _: &mut Cost) {
        drop_cached();
    }

    fn flush_tlb_kernel_range(&self, _: &PageRange, _: Entries, _: Reach, _: &mut Cost) {
        drop_cached();
    }

    fn flush_tlb_all(&self, _: Reach, _: &mut Cost) {
        drop_cached();
    }

    fn complete_local(&self, _: impl IntoIterator<Item = Issued>, _: &mut Cost) {}

    fn complete_broadcast(
        &self,
        _: impl IntoIterator<Item = Issued>,
        _: &mut Cost,
    ) -> Result<(), Unproven> {
        Ok(())
    }

    fn activate(
        &self,
        _: CpuId,
        space: &AtomicU64,
        fresh: &mut dyn FnMut(),
        _: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        if space.load(Ordering::Acquire) == 0 {
            fresh();
            space.store(1, Ordering::Release);
        }
        Ok(HardwareId(1))
    }

    fn retire(&self, space: &AtomicU64) {
        space.store(0, Ordering::Release);
    }

    fn before_migration(&self, _: &mut Cost) {}
}

/// A secondary TLB that never answers: who has told it is waiting for it for ever.
pub(super) struct Silent;

pub(super) static SILENT: Silent = Silent;

// SAFETY: it never says that anything is complete.
unsafe impl SecondaryTlb for Silent {
    fn queue(&self, _: &Invalidation, _: &mut Cost) -> Result<(), Full> {
        Ok(())
    }

    fn seal(&self, _: &mut Cost) -> Fence {
        Fence::new(0)
    }

    fn poll(&self, _: &mut Fence, _: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        Poll::Pending
    }

    fn release(&self, _: AttachKey, _: &mut Cost) -> Result<(), Full> {
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::UPGRADES
    }
}
