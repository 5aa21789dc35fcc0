//! A unit as its driver has it: registers, barriers and a lock.

use crate::input::Input;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown::lock::RingLock;

/// A command as it stands in the ring.
pub(super) type Command = [u64; 2];

/// An IOMMU on the other side of a ring.
pub(super) trait Unit: Send {
    /// The size of the register block.
    const LEN: usize;

    fn read(&mut self, offset: usize) -> u32;

    fn write(&mut self, offset: usize, value: u32);

    fn write64(&mut self, offset: usize, value: u64);

    /// Does up to so many commands, as the manual says.
    fn run(&mut self, most: usize);

    /// Does something that the driver must survive. What the manual allows where `honest`, anything otherwise.
    fn disturb(&mut self, input: &mut Input<'_>, honest: bool);

    /// From now on nothing goes wrong, and every command is done as soon as it is handed over.
    fn recover(&mut self);

    /// Whether its device has failed when it was asked alone, so that the driver may have cut it off from memory.
    fn has_cut_off(&self) -> bool;

    /// Everything done so far, as it stood in the ring then.
    fn done(&self) -> &[Command];
}

/// A call to a driver reads and writes fewer registers than this: it waits for nothing.
const MOST_ACCESSES: u32 = 1000;

/// The unit as the driver and the body hold it.
pub(super) struct Port<U>(Arc<(Mutex<U>, AtomicU32)>);

impl<U> Clone for Port<U> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<U: Unit> Port<U> {
    pub(super) fn new(unit: U) -> Self {
        Self(Arc::new((Mutex::new(unit), AtomicU32::new(0))))
    }

    pub(super) fn unit(&self) -> MutexGuard<'_, U> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call to the driver begins.
    pub(super) fn begin_call(&self) {
        self.0.1.store(0, Ordering::Relaxed);
    }

    fn access(&self) -> MutexGuard<'_, U> {
        let accesses = self.0.1.fetch_add(1, Ordering::Relaxed);
        assert!(accesses < MOST_ACCESSES, "a call waits for hardware");
        self.unit()
    }
}

// SAFETY: one access to the unit each, under its lock.
unsafe impl<U: Unit> Mmio for Port<U> {
    fn len(&self) -> usize {
        U::LEN
    }

    fn read32(&self, offset: usize) -> u32 {
        self.access().read(offset)
    }

    fn write32(&self, offset: usize, value: u32) {
        self.access().write(offset, value);
    }

    fn read64(&self, offset: usize) -> u64 {
        let mut unit = self.access();
        u64::from(unit.read(offset)) | u64::from(unit.read(offset + 4)) << 32
    }

    fn write64(&self, offset: usize, value: u64) {
        self.access().write64(offset, value);
    }
}

// SAFETY: the unit runs in this thread.
unsafe impl<U: Unit> DmaBarriers for Port<U> {
    fn publish_tables(&self) {}
    fn before_doorbell(&self) {}
    fn after_completion(&self) {}
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

/// One thread, which must not take it twice.
#[derive(Default)]
pub(super) struct Lock(Mutex<()>);

// SAFETY: a mutex excludes all others.
unsafe impl RingLock for Lock {
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self.0.try_lock().expect("taken within itself");
        f()
    }
}

/// A clock of so many turns, which is not asked again once it has said that they are over.
pub(super) fn turns<U: Unit>(port: &Port<U>, mut left: u32) -> impl FnMut() -> bool + '_ {
    move || {
        port.begin_call();
        assert!(left > 0, "waits beyond its bound");
        left -= 1;
        left > 0
    }
}
